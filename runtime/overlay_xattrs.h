// SPDX-License-Identifier: Apache-2.0
// The marks of the overlay file system in an ext image. Ours is mounted in a user namespace, where
// they are called user.overlay.*; an image may have been written under other names: by the kernel
// for root (trusted.overlay.*) and by fuse-overlayfs (user.fuseoverlayfs.*), which Apptainer uses.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ext/file_system.h"

namespace runtime {

// An opaque directory's mark has all of its names when it is set, and any when it is asked for.
// Programs see none of the others: they would take them along with copies of the directory.
std::optional<std::string> find_overlay_xattr(ext::FileSystem& file_system, ext::InodeNumber inode,
                                              const std::string& name);
std::vector<std::string> overlay_xattr_names(ext::FileSystem& file_system, ext::InodeNumber inode);
// Throw EOPNOTSUPP for the other names.
void set_overlay_xattr(ext::FileSystem& file_system, ext::InodeNumber inode,
                       const std::string& name, std::string_view value);
void remove_overlay_xattr(ext::FileSystem& file_system, ext::InodeNumber inode,
                          const std::string& name);

}  // namespace runtime
