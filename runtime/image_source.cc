// SPDX-License-Identifier: Apache-2.0
#include "runtime/image_source.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/host_check.h"
#include "runtime/image_extract.h"
#include "runtime/image_preview.h"
#include "runtime/loop_mount.h"
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

// The kernel mounts squashfs for root of the first user namespace only, so this happens before ours
// is made: in a mount namespace of its own, out of which the mount is carried as a detached tree.
MountSource kernel_mount(const sif::ImageFile& image) {
  if (::geteuid() != 0) throw base::error("--image-driver kernel is for root only");
  if (!has_mount_setattr()) throw base::error("--image-driver kernel needs Linux 5.12 or later");
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
    throw base::errno_error(errno, "cannot make a mount namespace");
  constexpr const char* kPlace = "/mnt";
  mount_with_kernel(image, kPlace);
  MountSource tree = MountSource::open(kPlace);
  if (::umount2(kPlace, MNT_DETACH) != 0) throw base::errno_error(errno, "cannot detach ", kPlace);
  return tree;
}

// One request for the whole root instead of one for each name in it that is used next.
void list_root(const std::string& path) {
  const base::UniqueFd root = base::open_file(path, O_RDONLY | O_DIRECTORY);
  std::array<std::byte, 16384> entries;
  ::syscall(SYS_getdents64, root.get(), entries.data(), entries.size());
}

}  // namespace

ImageSource ImageSource::open(const RunPlan& plan) {
  ImageSource source;
  const std::optional<struct stat> status = base::find_status(plan.image);
  if (status && S_ISDIR(status->st_mode)) {
    source.directory_ = plan.image;
  } else {
    source.open_file(plan);
  }
  return source;
}

void ImageSource::open_file(const RunPlan& plan) {
  file_ = sif::open_image(plan.image);
  check_architecture(*file_);
  if (plan.driver == ImageDriver::kernel) {
    tree_ = kernel_mount(*file_);
    file_.reset();
    return;
  }
  const std::optional<FuseProblem> problem = plan.unsquash ? std::nullopt : find_fuse_problem();
  if (!plan.unsquash && !problem) {
    reader_ = std::make_unique<sif::SquashfsReader>(file_->fd.get(), file_->offset, file_->size,
                                                    file_->path);
    return;
  }
  const std::string cache = extraction_cache_folder(
      [](const char* name) -> const char* { return std::getenv(name); }, plan.host_home);
  if (problem)
    base::log_info(problem->cause, "; ", problem->cure, ". Running from an unpacked copy");
  directory_ = open_extracted_image(*file_, cache);
  file_.reset();
}

void ImageSource::preview(RunPlan& plan) {
  if (!reader_) return;
  const ImagePreview preview(*reader_, plan);
  added_ = preview.missing_mount_points();
  plan.image_texts = preview.account_files();
  plan.action.environment.scripts = preview.scripts();
}

void ImageSource::start_server(IdMap ids) {
  if (!file_) return;
  FuseOptions options;
  // With one mapped id every other owner would be nobody, and what only root may read would be
  // closed to the payload.
  if (ids == IdMap::own_id) options.owner = {::geteuid(), ::getegid()};
  server_ = ImageServer::start(*file_, *reader_, options, added_);
  reader_.reset();
  file_.reset();
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
    list_root(path);
  } else {
    std::move(*tree_).attach(base::open_file(path, O_PATH).get(), kImageFlags, path);
  }
  return path;
}

}  // namespace runtime
