// SPDX-License-Identifier: Apache-2.0
// What overlays keep in an upper layer besides the files: names that are gone (whiteouts) and
// directories that hide those below (opaque ones). The kernel has character devices 0:0 and an
// attribute, user.overlay.opaque in a user namespace, trusted.overlay.opaque for root.
// fuse-overlayfs, which Apptainer uses, has user.fuseoverlayfs.opaque and empty files: .wh.NAME for
// a name, .wh..wh..opq in a directory.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ext/file_system.h"

namespace ext {

// The name that a file of fuse-overlayfs says is gone.
std::optional<std::string_view> find_hidden_name(std::string_view name, const Attributes& file);
// Whether a file says that its directory is opaque.
bool is_opaque_marker(std::string_view name, const Attributes& file);

// Whether the attribute of that name says that a directory is opaque.
bool is_opaque_mark(std::string_view name);

// Gives a directory the kernel's marks in place of fuse-overlayfs's, which reads these as well. To
// be called before the kernel knows what is in it.
void use_kernel_marks(FileSystem& file_system, InodeNumber directory);

// The opaque mark has all of its names when it is set, and any when it is asked for. Programs see
// none of the others: they would take them along with copies of the directory.
std::optional<std::string> find_layer_xattr(FileSystem& file_system, InodeNumber inode,
                                            const std::string& name);
std::vector<std::string> layer_xattr_names(FileSystem& file_system, InodeNumber inode);
// Throw EOPNOTSUPP for the other names.
void set_layer_xattr(FileSystem& file_system, InodeNumber inode, const std::string& name,
                     std::string_view value);
void remove_layer_xattr(FileSystem& file_system, InodeNumber inode, const std::string& name);

}  // namespace ext
