// SPDX-License-Identifier: Apache-2.0
#include "runtime/image_mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "base/syscalls.h"
#include "runtime/fd_message.h"
#include "runtime/fuse_server.h"
#include "runtime/server_process.h"

namespace runtime {
namespace {

constexpr const char* kFuseDevice = "/dev/fuse";
static_assert(std::is_trivially_copyable_v<FuseOptions>, "it travels to the server as bytes");

base::UniqueFd open_fuse_device() {
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

// Without a thread to spare (ulimit -u) the listener closes here, and nobody shares.
void attend_in_background(ShareListener listener, base::UniqueFd control) {
  try {
    std::thread([door = ShareDoor(std::move(listener), std::move(control))]() mutable {
      door.attend();
    }).detach();
  } catch (const std::system_error&) {
  }
}

// The server must not read the device before it is mounted (that fails with EPERM), and must not
// wait for a launcher that died.
void serve_once_mounted(const sif::SquashfsReader& reader, std::span<const AddedPath> added,
                        base::UniqueFd control, std::optional<ShareListener> listener) {
  const std::optional<FdMessage> start = receive_message(control.get(), sizeof(FuseOptions));
  if (!start || start->text.size() != sizeof(FuseOptions) || start->fds.size() != 1) return;
  FuseOptions options;
  std::memcpy(&options, start->text.data(), sizeof options);
  if (listener) attend_in_background(std::move(*listener), std::move(control));
  control.reset();
  FuseServer(start->fds[0].get(), reader, options, added).serve();
}

}  // namespace

ImageServer ImageServer::start(const sif::ImageFile& image, const sif::SquashfsReader& reader,
                               std::span<const AddedPath> added,
                               std::optional<ShareListener> listener) {
  SocketPair control = make_socket_pair();
  want_senders(control.second.get());
  std::vector<int> kept = {image.fd.get(), control.second.get()};
  if (listener) kept.push_back(listener->socket.get());
  start_server_process("sifrun-fuse", kept, [&] {
    serve_once_mounted(reader, added, std::move(control.second), std::move(listener));
  });
  return ImageServer(std::move(control.first));
}

void ImageServer::open_device() { device_ = open_fuse_device(); }

void ImageServer::mount_at(const std::string& target, FuseOptions options) {
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
  const std::string_view text(reinterpret_cast<const char*>(&options), sizeof options);
  if (!send_message(control_.get(), text, {device_.get()}))
    throw base::error("the file server of the image has died");
  device_.reset();
}

// A server that has died meanwhile is found by the next access to the image.
void ImageServer::share(int user_namespace, int mount_namespace) {
  send_message(control_.get(), "+", {user_namespace, mount_namespace});
}

}  // namespace runtime
