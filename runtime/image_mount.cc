// SPDX-License-Identifier: Apache-2.0
#include "runtime/image_mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/syscalls.h"
#include "runtime/fuse_server.h"
#include "runtime/server_process.h"
#include "sif/squashfs_reader.h"

namespace runtime {
namespace {

constexpr const char* kFuseDevice = "/dev/fuse";

base::UniqueFd open_device() {
  try {
    return base::open_file(kFuseDevice, O_RDWR);
  } catch (base::Error& error) {
    const bool absent = error.errno_value() == ENOENT || error.errno_value() == ENODEV ||
                        error.errno_value() == ENXIO;
    throw std::move(error).with_hint(
        absent ? "load the fuse kernel module (modprobe fuse), or use --unsquash"
               : "every user needs read and write access to /dev/fuse (chmod 666 /dev/fuse); "
                 "--unsquash works without it");
  }
}

// The server must not read the device before it is mounted (that fails with EPERM), and must not
// wait for a launcher that died.
bool wait_for_mount(int control_fd) {
  char go = 0;
  ssize_t count = 0;
  do {
    count = ::recv(control_fd, &go, 1, 0);
  } while (count < 0 && errno == EINTR);
  return count == 1;
}

}  // namespace

ImageServer ImageServer::start(const sif::ImageFile& image, const sif::SquashfsReader& reader,
                               FuseOptions options, std::span<const AddedPath> added) {
  base::UniqueFd device = open_device();
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw base::errno_error(errno, "cannot make a socket pair");
  base::UniqueFd ours(ends[0]);
  base::UniqueFd theirs(ends[1]);
  const std::vector<int> kept = {image.fd.get(), device.get(), theirs.get()};
  start_server_process("sifrun-fuse", kept, [&] {
    if (!wait_for_mount(theirs.get())) return;
    theirs.reset();
    FuseServer(device.get(), reader, options, added).serve();
  });
  return {std::move(device), std::move(ours)};
}

void ImageServer::mount_at(const std::string& target) {
  // allow_other: the payload may run under another mapped id; default_permissions: the kernel
  // checks modes, so cached entries cost no request.
  const std::string data = base::cat("fd=", device_.get(), ",rootmode=40000,user_id=", ::geteuid(),
                                     ",group_id=", ::getegid(), ",default_permissions,allow_other");
  if (::mount("sifrun", target.c_str(), "fuse.sifrun", MS_RDONLY | MS_NOSUID | MS_NODEV,
              data.c_str()) != 0) {
    throw base::errno_error(errno, "cannot mount the image at ", base::printable(target),
                            " through FUSE")
        .with_hint("FUSE in user namespaces needs Linux 4.18 or newer; --unsquash works without");
  }
  if (::send(control_.get(), "g", 1, MSG_NOSIGNAL) != 1)
    throw base::errno_error(errno, "the file server of the image has died");
  device_.reset();
  control_.reset();
}

}  // namespace runtime
