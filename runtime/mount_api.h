// SPDX-License-Identifier: Apache-2.0
// Mounting by file descriptors, without ever walking a path twice: the new mount API where the
// kernel has it (5.12 for mount_setattr), else mount(2) on /proc/self/fd names (4.18 and later).
// Everything here needs CAP_SYS_ADMIN in the user namespace that owns the mount namespace.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace runtime {

enum class MountFlags : std::uint32_t {
  none = 0,
  read_only = 1,
  no_setuid = 2,
  no_devices = 4,
};
constexpr MountFlags operator|(MountFlags a, MountFlags b) {
  return static_cast<MountFlags>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
constexpr bool has(MountFlags set, MountFlags flag) {
  return (static_cast<std::uint32_t>(set) & static_cast<std::uint32_t>(flag)) != 0;
}

// Whether the kernel refuses to start programs there, by a mount option.
bool is_noexec(const std::string& path);

// "/proc/self/fd/N": a name of whatever the descriptor refers to.
std::string descriptor_path(int fd);

// A source that can be attached later, whatever gets mounted over its path meanwhile: a detached
// copy of the mount tree, or a mere O_PATH descriptor for kernels without detached trees.
class MountSource {
 public:
  // The tree at `path` with all its submounts (they may not be left out: they are locked together).
  static MountSource open(const std::string& path);
  static MountSource open_at(int fd, std::string_view name);
  // Attaches it at `target`, an O_PATH descriptor in the current mount namespace; the flags
  // hold for all its mounts. Throws Error naming both ends.
  void attach(int target, MountFlags flags, std::string_view target_name) &&;
  bool is_directory() const { return is_directory_; }
  int fd() const { return fd_.get(); }

 private:
  base::UniqueFd fd_;
  std::string name_;
  bool detached_ = false;
  bool is_directory_ = false;
};

// mount(2) of a new file system on `target`. `data` is the file system's option string.
void mount_new(const char* type, int target, unsigned long flags, const std::string& data,
               std::string_view target_name);

// Makes the mount at `target` (its own flags, not those of mounts below) read-only.
void make_read_only(int target, std::string_view target_name);

// False where the kernel, or a seccomp filter, lacks mount_setattr(2): then mount(2) is used.
bool has_mount_setattr();

}  // namespace runtime
