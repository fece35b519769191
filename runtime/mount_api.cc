// SPDX-License-Identifier: Apache-2.0
#include "runtime/mount_api.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/root_tree.h"

namespace runtime {
namespace {

constexpr std::size_t kMaxMountinfo = std::size_t{16} << 20;
constexpr unsigned kCloneTree = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE;

struct FlagWord {
  MountFlags flag;
  std::uint64_t attribute;   // mount_setattr(2)
  unsigned long mount_flag;  // mount(2)
};
constexpr std::array<FlagWord, 3> kFlagWords = {{
    {MountFlags::read_only, MOUNT_ATTR_RDONLY, MS_RDONLY},
    {MountFlags::no_setuid, MOUNT_ATTR_NOSUID, MS_NOSUID},
    {MountFlags::no_devices, MOUNT_ATTR_NODEV, MS_NODEV},
}};

// Flags that a less privileged mount namespace may not clear: a remount must repeat them.
struct LockedFlag {
  unsigned long statvfs_flag, mount_flag;
};
constexpr std::array<LockedFlag, 7> kLockedFlags = {{
    {ST_RDONLY, MS_RDONLY},
    {ST_NOSUID, MS_NOSUID},
    {ST_NODEV, MS_NODEV},
    {ST_NOEXEC, MS_NOEXEC},
    {ST_NOATIME, MS_NOATIME},
    {ST_NODIRATIME, MS_NODIRATIME},
    {ST_RELATIME, MS_RELATIME},
}};

void set_attributes(int fd, unsigned call_flags, MountFlags flags, std::string_view name) {
  mount_attr attributes{};
  for (const FlagWord& word : kFlagWords) {
    if (has(flags, word.flag)) attributes.attr_set |= word.attribute;
  }
  if (attributes.attr_set == 0) return;
  if (::mount_setattr(fd, "", AT_EMPTY_PATH | call_flags, &attributes, sizeof attributes) != 0)
    throw base::errno_error(errno, "cannot set the mount flags of ", base::printable(name));
}

// The mount's own flags through mount(2), which replaces them all at once.
void remount(int fd, MountFlags flags, std::string_view name) {
  const std::string path = descriptor_path(fd);
  struct statvfs present {};
  if (::fstatvfs(fd, &present) != 0)
    throw base::errno_error(errno, "cannot read the mount flags of ", base::printable(name));
  unsigned long mount_flags = MS_REMOUNT | MS_BIND;
  for (const LockedFlag& locked : kLockedFlags) {
    if ((present.f_flag & locked.statvfs_flag) != 0) mount_flags |= locked.mount_flag;
  }
  for (const FlagWord& word : kFlagWords) {
    if (has(flags, word.flag)) mount_flags |= word.mount_flag;
  }
  if (::mount(nullptr, path.c_str(), nullptr, mount_flags, nullptr) != 0)
    throw base::errno_error(errno, "cannot set the mount flags of ", base::printable(name));
}

// mountinfo writes blanks, line ends and backslashes as three octal digits (proc(5)).
std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain += static_cast<char>((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 |
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// mount(2) takes the flags of one mount only, so those below it are found by name.
void remount_tree(const std::string& top, MountFlags flags, std::string_view name) {
  remount(base::open_file(top, O_PATH).get(), flags, name);
  const std::string mounts = base::read_small_file("/proc/self/mountinfo", kMaxMountinfo);
  for (const std::string& line : base::split(mounts, '\n')) {
    const std::vector<std::string> fields = base::split(line, ' ');
    if (fields.size() < 5) continue;
    const std::string point = unescaped(fields[4]);
    if (point == top || !is_within(point, top)) continue;
    // What a later mount covers can be neither reached nor changed.
    const base::UniqueFd mount(::open(point.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (mount) remount(mount.get(), flags, name);
  }
}

bool probe_mount_setattr() {
  // A kernel that knows the call looks at the flags first, whoever asks: EINVAL. Seccomp filters
  // older than the call answer EPERM.
  mount_attr attributes{};
  ::mount_setattr(-1, "", ~0U, &attributes, sizeof attributes);
  return errno == EINVAL;
}

}  // namespace

bool is_noexec(const std::string& path) {
  struct statvfs status {};
  return ::statvfs(path.c_str(), &status) == 0 && (status.f_flag & ST_NOEXEC) != 0;
}

std::string descriptor_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

bool has_mount_setattr() {
  static const bool present = probe_mount_setattr();
  return present;
}

MountSource MountSource::open(const std::string& path) {
  MountSource source;
  source.name_ = path;
  source.detached_ = has_mount_setattr();
  source.fd_.reset(source.detached_ ? ::open_tree(AT_FDCWD, path.c_str(), kCloneTree)
                                    : ::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!source.fd_)
    throw base::errno_error(errno, "cannot open the mount source ", base::printable(path));
  source.is_directory_ = S_ISDIR(base::file_status(source.fd_.get(), path).st_mode);
  return source;
}

MountSource MountSource::open_at(int fd, std::string_view name) {
  MountSource source;
  source.name_ = name;
  source.detached_ = has_mount_setattr();
  const int copy = source.detached_ ? ::open_tree(fd, "", kCloneTree | AT_EMPTY_PATH)
                                    : ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0)
    throw base::errno_error(errno, "cannot open the mount source ", base::printable(name));
  source.fd_.reset(copy);
  source.is_directory_ = S_ISDIR(base::file_status(source.fd_.get(), name).st_mode);
  return source;
}

void MountSource::attach(int target, MountFlags flags, std::string_view target_name) && {
  const auto fail = [&] {
    return base::errno_error(errno, "cannot mount ", base::printable(name_), " on ",
                             base::printable(target_name), " of the container");
  };
  if (detached_) {
    set_attributes(fd_.get(), AT_RECURSIVE, flags, name_);
    if (::move_mount(fd_.get(), "", target, "",
                     MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
      throw fail();
    return;
  }
  const std::string at = descriptor_path(target);
  if (::mount(descriptor_path(fd_.get()).c_str(), at.c_str(), nullptr, MS_BIND | MS_REC, nullptr) !=
      0)
    throw fail();
  // `target` still means what is now covered; the new mount is reached by walking to it again.
  if (flags == MountFlags::none) return;
  std::array<char, 4096> path{};
  const ssize_t length = ::readlink(at.c_str(), path.data(), path.size() - 1);
  if (length <= 0) throw fail();
  remount_tree(std::string(path.data(), static_cast<std::size_t>(length)), flags, target_name);
}

void mount_new(const char* type, int target, unsigned long flags, const std::string& data,
               std::string_view target_name) {
  if (::mount(type, descriptor_path(target).c_str(), type, flags, data.c_str()) != 0) {
    throw base::errno_error(errno, "cannot mount a new ", type, " on ",
                            base::printable(target_name), " of the container");
  }
}

void make_read_only(int target, std::string_view target_name) {
  if (has_mount_setattr()) {
    set_attributes(target, 0, MountFlags::read_only, target_name);
  } else {
    remount(target, MountFlags::read_only, target_name);
  }
}

}  // namespace runtime
