// SPDX-License-Identifier: Apache-2.0
#include "runtime/target_maker.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>

#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/mount_api.h"

namespace runtime {
namespace {

// An underlay costs about ten system calls an entry once (seven besides close(2), on kernels with
// the new mount API), an overlay a few microseconds each stat.
constexpr std::size_t kFewEntries = 48;
// Where the kernel refuses overlays (before 5.11), underlays are made up to this size.
constexpr std::size_t kMaxEntries = 4096;

void carry_over(int original, const std::string& name, int underlay) {
  base::UniqueFd entry = base::open_file_at(original, name, O_PATH | O_NOFOLLOW);
  const mode_t mode = base::file_status(entry.get(), name).st_mode;
  if (S_ISLNK(mode)) {
    std::array<char, PATH_MAX + 1> target{};
    if (::readlinkat(entry.get(), "", target.data(), PATH_MAX) < 0 ||
        ::symlinkat(target.data(), underlay, name.c_str()) != 0)
      throw base::errno_error(errno, "cannot copy the link ", base::printable(name));
    return;
  }
  const std::array<std::string, 1> path = {name};
  const base::UniqueFd target = make_path(underlay, path, S_ISDIR(mode));
  MountSource::open_at(entry.get(), name).attach(target.get(), MountFlags::none, name);
}

void make_targets(int directory, std::span<const MissingTarget> targets) {
  for (const MissingTarget& target : targets)
    make_path(directory, target.components, target.is_directory);
}

// The overlay's top layer holds the new entries, its lower one is the image's directory.
bool attach_overlay(int top, int original, int directory) {
  // Colons separate layers; names of descriptors have none.
  const std::string layers =
      base::cat("lowerdir=", descriptor_path(top), ":", descriptor_path(original));
  return ::mount("overlay", descriptor_path(directory).c_str(), "overlay",
                 MS_RDONLY | MS_NOSUID | MS_NODEV, layers.c_str()) == 0;
}

}  // namespace

base::UniqueFd make_path(int directory, std::span<const std::string> components,
                         bool is_directory) {
  if (components.empty()) return base::open_file_at(directory, ".", O_PATH | O_DIRECTORY);
  base::UniqueFd at;
  for (std::size_t i = 0; i < components.size(); ++i) {
    const std::string& name = components[i];
    const int parent = i == 0 ? directory : at.get();
    if (i + 1 < components.size() || is_directory) {
      if (::mkdirat(parent, name.c_str(), 0755) != 0 && errno != EEXIST)
        throw base::errno_error(errno, "cannot make the mount point ", base::printable(name));
    } else {
      const base::UniqueFd made(::openat(
          parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
      if (!made && errno != EEXIST)
        throw base::errno_error(errno, "cannot make the mount point ", base::printable(name));
    }
    at = base::open_file_at(parent, name, O_PATH | O_NOFOLLOW);
  }
  return at;
}

void cover_with_targets(SessionDirectory& session, int original, int directory,
                        const std::string& name, std::span<const MissingTarget> targets) {
  const mode_t mode = base::file_status(original, name).st_mode & 07777;
  const base::UniqueFd cover = session.make_directory("cover", mode | 0700);
  std::optional<std::vector<std::string>> names = base::list_names(original, name, kFewEntries);
  if (!names) {
    make_targets(cover.get(), targets);
    if (attach_overlay(cover.get(), original, directory)) return;
    base::log_debug("overlay on ", base::printable(name), ": ", base::errno_text(errno),
                    ", binding its entries instead");
    names = base::list_names(original, name, kMaxEntries);
    if (!names) {
      throw base::error("cannot add a mount point to ", base::printable(name),
                        " of the container: it has more than ", kMaxEntries, " entries");
    }
  }
  for (const std::string& entry : *names) carry_over(original, entry, cover.get());
  make_targets(cover.get(), targets);
  MountSource::open_at(cover.get(), name).attach(directory, MountFlags::none, name);
}

}  // namespace runtime
