// SPDX-License-Identifier: Apache-2.0
#include "ext/overlay_marks.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/error.h"

namespace ext {
namespace {

constexpr std::string_view kOpaque = "user.overlay.opaque";
constexpr std::array<const char*, 2> kOtherOpaque = {"trusted.overlay.opaque",
                                                     "user.fuseoverlayfs.opaque"};
constexpr std::string_view kWhiteoutPrefix = ".wh.";
constexpr std::array<std::string_view, 2> kOpaqueMarkers = {".wh..wh..opq", ".wh..opq"};
constexpr mode_t kMarkerMode = 0700;

// trusted.* is not for user namespaces anyway: named to them, it makes overlays fail to copy a
// file.
bool is_other_mark(std::string_view name) {
  return name.starts_with("trusted.") || name.starts_with("user.fuseoverlayfs.");
}

void refuse_other_mark(const std::string& name) {
  if (is_other_mark(name)) throw base::Error("a mark of the overlay", EOPNOTSUPP);
}

// As fuse-overlayfs makes them; programs may have files of such names, too.
bool is_marker(const Attributes& file) {
  return S_ISREG(file.mode) && file.size == 0 && (file.mode & 07777) == kMarkerMode;
}

}  // namespace

std::optional<std::string_view> find_hidden_name(std::string_view name, const Attributes& file) {
  if (!name.starts_with(kWhiteoutPrefix) || is_opaque_marker(name, file) || !is_marker(file))
    return std::nullopt;
  const std::string_view hidden = name.substr(kWhiteoutPrefix.size());
  return hidden.empty() || hidden == "." || hidden == ".." ? std::nullopt : std::optional(hidden);
}

bool is_opaque_marker(std::string_view name, const Attributes& file) {
  const bool is_device = S_ISCHR(file.mode) && file.device == 0;
  return std::ranges::count(kOpaqueMarkers, name) > 0 && (is_marker(file) || is_device);
}

bool is_opaque_mark(std::string_view name) { return name == kOpaque; }

void use_kernel_marks(FileSystem& file_system, InodeNumber directory) {
  std::vector<std::string> markers;
  file_system.list(directory, 0, [&](const FileSystem::Entry& entry) {
    if (entry.name.starts_with(kWhiteoutPrefix)) markers.emplace_back(entry.name);
    return true;
  });
  if (markers.empty()) return;
  file_system.begin_private_changes();
  AttributeChanges times;
  const Attributes before = file_system.attributes(directory);
  times.modified = before.modified;
  times.changed = before.changed;
  for (const std::string& name : markers) {
    const Attributes file = file_system.attributes(*file_system.find_entry(directory, name));
    const auto hidden = find_hidden_name(name, file);
    if (!hidden && !is_opaque_marker(name, file)) continue;
    file_system.drop(file_system.unlink(directory, name));
    if (!hidden) {
      set_layer_xattr(file_system, directory, std::string(kOpaque), "y");
    } else if (!file_system.find_entry(directory, *hidden)) {
      file_system.make(directory, *hidden, {S_IFCHR, file.uid, file.gid, 0});
    }
  }
  file_system.change(directory, times);
}

std::optional<std::string> find_layer_xattr(FileSystem& file_system, InodeNumber inode,
                                            const std::string& name) {
  if (is_other_mark(name)) return std::nullopt;
  std::optional<std::string> value = file_system.find_xattr(inode, name);
  if (name != kOpaque) return value;
  for (const char* other : kOtherOpaque)
    if (!value) value = file_system.find_xattr(inode, other);
  return value;
}

std::vector<std::string> layer_xattr_names(FileSystem& file_system, InodeNumber inode) {
  std::vector<std::string> names = file_system.xattr_names(inode);
  std::erase_if(names, is_other_mark);
  return names;
}

void set_layer_xattr(FileSystem& file_system, InodeNumber inode, const std::string& name,
                     std::string_view value) {
  refuse_other_mark(name);
  file_system.set_xattr(inode, name, value);
  if (name != kOpaque) return;
  for (const char* other : kOtherOpaque) file_system.set_xattr(inode, other, value);
}

void remove_layer_xattr(FileSystem& file_system, InodeNumber inode, const std::string& name) {
  refuse_other_mark(name);
  if (name == kOpaque) {
    for (const char* other : kOtherOpaque)
      if (file_system.find_xattr(inode, other)) file_system.remove_xattr(inode, other);
  }
  file_system.remove_xattr(inode, name);
}

}  // namespace ext
