// SPDX-License-Identifier: Apache-2.0
#include "runtime/overlay_xattrs.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/error.h"

namespace runtime {
namespace {

constexpr std::string_view kOpaque = "user.overlay.opaque";
constexpr std::array<const char*, 2> kOtherOpaque = {"trusted.overlay.opaque",
                                                     "user.fuseoverlayfs.opaque"};

// trusted.* is not for user namespaces anyway: named to them, it makes overlays fail to copy a
// file.
bool is_other_mark(std::string_view name) {
  return name.starts_with("trusted.") || name.starts_with("user.fuseoverlayfs.");
}

void refuse_other_mark(const std::string& name) {
  if (is_other_mark(name)) throw base::Error("a mark of the overlay", EOPNOTSUPP);
}

}  // namespace

std::optional<std::string> find_overlay_xattr(ext::FileSystem& file_system, ext::InodeNumber inode,
                                              const std::string& name) {
  if (is_other_mark(name)) return std::nullopt;
  std::optional<std::string> value = file_system.find_xattr(inode, name);
  if (name != kOpaque) return value;
  for (const char* other : kOtherOpaque)
    if (!value) value = file_system.find_xattr(inode, other);
  return value;
}

std::vector<std::string> overlay_xattr_names(ext::FileSystem& file_system, ext::InodeNumber inode) {
  std::vector<std::string> names = file_system.xattr_names(inode);
  std::erase_if(names, is_other_mark);
  return names;
}

void set_overlay_xattr(ext::FileSystem& file_system, ext::InodeNumber inode,
                       const std::string& name, std::string_view value) {
  refuse_other_mark(name);
  file_system.set_xattr(inode, name, value);
  if (name != kOpaque) return;
  for (const char* other : kOtherOpaque) file_system.set_xattr(inode, other, value);
}

void remove_overlay_xattr(ext::FileSystem& file_system, ext::InodeNumber inode,
                          const std::string& name) {
  refuse_other_mark(name);
  if (name == kOpaque) {
    for (const char* other : kOtherOpaque)
      if (file_system.find_xattr(inode, other)) file_system.remove_xattr(inode, other);
  }
  file_system.remove_xattr(inode, name);
}

}  // namespace runtime
