// SPDX-License-Identifier: Apache-2.0
// Mounts an image through the FUSE server in a fresh user and mount namespace and runs a command
// there: the image path of sifrun without its container. As root it stays in the user namespace.
//   mount_probe [--owner] IMAGE TARGET COMMAND [ARG...]      IMAGE is a bare squashfs
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "runtime/image_mount.h"
#include "sif/squashfs_format.h"

namespace {

void write_file(const std::string& path, const std::string& text) {
  base::write_all(base::open_file(path, O_WRONLY).get(), text, path);
}

void enter_user_namespace() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (uid == 0) return;
  if (::unshare(CLONE_NEWUSER) != 0) throw base::errno_error(errno, "unshare user namespace");
  write_file("/proc/self/setgroups", "deny");
  write_file("/proc/self/uid_map", base::cat(uid, " ", uid, " 1"));
  write_file("/proc/self/gid_map", base::cat(gid, " ", gid, " 1"));
}

sif::ImageFile open_squashfs(const std::string& path) {
  sif::ImageFile image;
  image.fd = base::open_file(path, O_RDONLY);
  image.path = path;
  image.size = static_cast<std::uint64_t>(base::file_status(image.fd.get(), path).st_size);
  return image;
}

int run(std::vector<char*> arguments) {
  runtime::FuseOptions options;
  if (std::string_view(arguments.at(1)) == "--owner") {
    options.owner = {::geteuid(), ::getegid()};
    arguments.erase(arguments.begin() + 1);
  }
  const sif::ImageFile image = open_squashfs(arguments.at(1));
  const sif::SquashfsReader reader(image.fd.get(), image.offset, image.size, image.path);
  runtime::ImageServer server = runtime::ImageServer::start(image);
  enter_user_namespace();
  server.open_device();
  if (::unshare(CLONE_NEWNS) != 0) throw base::errno_error(errno, "unshare mount namespace");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    throw base::errno_error(errno, "make mounts private");
  server.mount_at(arguments.at(2), options);
  ::execvp(arguments.at(3), arguments.data() + 3);
  throw base::errno_error(errno, "exec ", arguments[3]);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::vector<char*> arguments(argv, argv + argc + 1);
    if (argc < 4) throw base::error("usage: mount_probe [--owner] IMAGE TARGET COMMAND [ARG...]");
    return run(arguments);
  } catch (const base::Error& error) {
    base::log_fatal(error);
    return 255;
  }
}
