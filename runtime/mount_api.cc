// SPDX-License-Identifier: Apache-2.0
#include "runtime/mount_api.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/syscalls.h"
#include "base/text.h"

namespace runtime {
namespace {

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

bool probe_mount_setattr() {
  // An invalid descriptor: a kernel that knows the call says EBADF. Seccomp filters older than the
  // call answer EPERM.
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_NOSUID;
  return ::mount_setattr(-1, "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0 ||
         (errno != ENOSYS && errno != EPERM);
}

}  // namespace

std::string descriptor_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

bool has_mount_setattr() {
  static const bool present = probe_mount_setattr();
  return present;
}

MountSource MountSource::open(const std::string& path) {
  MountSource source;
  source.name_ = path;
  source.detached_ = has_mount_setattr();
  if (source.detached_) {
    const int fd = ::open_tree(AT_FDCWD, path.c_str(), kCloneTree);
    if (fd < 0)
      throw base::errno_error(errno, "cannot open the mount source ", base::printable(path));
    source.fd_.reset(fd);
  } else {
    source.fd_ = base::open_file(path, O_PATH);
  }
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
  remount(base::open_file(std::string(path.data(), static_cast<std::size_t>(length)), O_PATH).get(),
          flags, target_name);
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
