// SPDX-License-Identifier: Apache-2.0
#include "runtime/layers.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/mount_api.h"

namespace runtime {

void add_throwaway_layer(Layers& layers, SessionDirectory& session) {
  layers.upper = session.make_directory("upper", 0755);
  layers.work = session.make_directory("work", 0700);
}

void mount_layers(const Layers& layers, int mount_points, int image, int target) {
  std::string options = "lowerdir=";
  for (const base::UniqueFd& lower : layers.lowers) options += descriptor_path(lower.get()) + ":";
  options += base::cat(descriptor_path(mount_points), ":", descriptor_path(image));
  unsigned long flags = MS_NOSUID | MS_NODEV;
  if (layers.upper) {
    options += base::cat(",upperdir=", descriptor_path(layers.upper.get()),
                         ",workdir=", descriptor_path(layers.work.get()));
  } else {
    flags |= MS_RDONLY;
  }
  // userxattr is what a user namespace needs for whiteouts that survive; kernels before 5.11 know
  // neither the word nor overlays in user namespaces.
  const std::string changes = options + ",userxattr";
  for (const std::string& each :
       {layers.may_be_lost ? changes + ",volatile" : changes, changes, options}) {
    if (::mount("overlay", descriptor_path(target).c_str(), "overlay", flags, each.c_str()) == 0)
      return;
  }
  throw base::errno_error(errno, "cannot mount the overlay (--overlay, --writable-tmpfs)")
      .with_hint(
          "overlays in user namespaces need Linux 5.11 or later, and a writable one a folder on a "
          "local disk: NFS, Lustre and GPFS do not do");
}

base::UniqueFd imitate_directory(int image, int into, const std::string& name) {
  base::UniqueFd original = base::open_file_at(image, ".", O_PATH | O_DIRECTORY);
  base::UniqueFd copy = base::open_file_at(into, ".", O_PATH | O_DIRECTORY);
  for (const std::string& part : base::split(name, '/')) {
    if (part.empty()) continue;
    original = base::open_file_at(original.get(), part, O_PATH | O_NOFOLLOW);
    const mode_t mode = base::file_status(original.get(), part).st_mode & 07777;
    if (::mkdirat(copy.get(), part.c_str(), mode) != 0 && errno != EEXIST)
      throw base::errno_error(errno, "cannot make the mount point ", base::printable(name));
    copy = base::open_file_at(copy.get(), part, O_PATH | O_NOFOLLOW);
  }
  return copy;
}

}  // namespace runtime
