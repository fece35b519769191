// SPDX-License-Identifier: Apache-2.0
// Paths within a squashfs as the kernel would resolve them with the image as "/": symbolic links
// stay inside. For looking at an image without mounting it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/path_walk.h"
#include "sif/squashfs_reader.h"

namespace sif {

// How far a path exists.
using WalkedImagePath = base::WalkedPath<InodeAttributes>;
// Throws Error for loops (ELOOP), below what is no directory (ENOTDIR) and for a corrupt image
// (EIO).
WalkedImagePath walk_path(const SquashfsReader& reader, std::string_view path);

// The inode at an absolute path, the last component's link followed too; nullopt for what is not
// there, for loops and below what is no directory. Throws Error (EIO) for a corrupt image.
std::optional<InodeRef> resolve_path(const SquashfsReader& reader, std::string_view path);

// The content of a regular file; nullopt for what is none and for one larger than `limit`.
std::optional<std::string> find_text(const SquashfsReader& reader, std::string_view path,
                                     std::size_t limit);

}  // namespace sif
