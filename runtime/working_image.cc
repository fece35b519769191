// SPDX-License-Identifier: Apache-2.0
#include "runtime/working_image.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/host_check.h"
#include "runtime/layers.h"

namespace runtime {
namespace {

ImageServer start_server(const std::string& path) {
  if (const auto problem = find_fuse_problem())
    throw base::error("cannot serve ", base::printable(path), ": ", problem->cause);
  return ImageServer::start(sif::open_image(path));
}

base::UniqueFd make_folder(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) != 0)
    throw base::errno_error(errno, "cannot make the folder ", base::printable(path));
  return base::open_file(path, O_PATH | O_DIRECTORY);
}

}  // namespace

WorkingImage::WorkingImage(const std::string& path) : server_(start_server(path)) {}

WorkingImage::~WorkingImage() {
  for (const std::string& mounted : {merged_, lower_}) {
    if (!mounted.empty()) ::umount2(mounted.c_str(), MNT_DETACH);
  }
}

std::string WorkingImage::mount_in(const std::string& folder, IdMap ids) {
  FuseOptions options;
  if (ids == IdMap::own_id) options.owner = {::geteuid(), ::getegid()};
  const std::string lower = folder + "/image", merged = folder + "/rootfs";
  make_folder(lower, 0755);
  Layers layers;
  layers.upper = make_folder(folder + "/upper", 0755);
  layers.work = make_folder(folder + "/work", 0700);
  layers.may_be_lost = true;
  const base::UniqueFd nothing = make_folder(folder + "/empty", 0755);
  const base::UniqueFd target = make_folder(merged, 0755);
  server_.open_device();
  server_.mount_at(lower, options);
  lower_ = lower;
  // The merged root has the upper layer's mode and owner.
  if (const auto root = base::find_status(lower)) {
    [[maybe_unused]] const int kept =
        ::chown((folder + "/upper").c_str(), root->st_uid, root->st_gid);
    ::chmod((folder + "/upper").c_str(), root->st_mode & 07777);
  }
  const base::UniqueFd image = base::open_file(lower, O_PATH | O_DIRECTORY);
  mount_layers(layers, nothing.get(), image.get(), target.get());
  merged_ = merged;
  return merged;
}

}  // namespace runtime
