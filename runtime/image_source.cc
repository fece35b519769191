// SPDX-License-Identifier: Apache-2.0
#include "runtime/image_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/host_check.h"
#include "sif/sif_format.h"

namespace runtime {
namespace {

constexpr MountFlags kImageFlags =
    MountFlags::read_only | MountFlags::no_setuid | MountFlags::no_devices;

// The kernel may still run foreign programs through a registered emulator.
bool has_emulator() { return ::access("/proc/sys/fs/binfmt_misc/status", F_OK) == 0; }

void check_architecture(const sif::ImageFile& image) {
  if (image.go_arch.empty() || image.go_arch == sif::host_go_arch()) return;
  if (image.go_arch == "386" && sif::host_go_arch() == "amd64") return;
  if (has_emulator()) return;
  throw base::error("image ", base::printable(image.path), " is for ", image.go_arch,
                    ", this machine is ", sif::host_go_arch())
      .with_hint("use an image of this architecture, or register an emulator (qemu-user-static)");
}

}  // namespace

ImageSource ImageSource::open(const std::string& path, ImageDriver) {
  ImageSource source;
  const std::optional<struct stat> status = base::find_status(path);
  if (status && S_ISDIR(status->st_mode)) {
    source.directory_ = path;
    return source;
  }
  source.file_ = sif::open_image(path);
  check_architecture(*source.file_);
  return source;
}

void ImageSource::start_server() {
  if (!file_) return;
  FuseOptions options;
  // With one mapped id every other owner would be nobody, and what only root may read would be
  // closed to the payload.
  if (::geteuid() != 0) options.owner = {::geteuid(), ::getegid()};
  server_ = ImageServer::start(std::move(*file_), options);
}

void ImageSource::open_in_namespace() {
  if (!directory_.empty()) tree_ = MountSource::open(directory_);
}

std::string ImageSource::mount_in(SessionDirectory& session) {
  const std::string path = session.path("image");
  if (::mkdir(path.c_str(), 0755) != 0) throw base::errno_error(errno, "cannot make ", path);
  if (server_) {
    server_->mount_at(path);
    server_.reset();
  } else {
    std::move(*tree_).attach(base::open_file(path, O_PATH).get(), kImageFlags, path);
  }
  return path;
}

}  // namespace runtime
