// SPDX-License-Identifier: Apache-2.0
// Bytes of a tree's regular files: extents read from their source, zeros where no extent is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "sif/tree.h"

namespace sif {

// Fills `out` with the file's bytes at `offset`; the range lies within the file's size.
// Thread-safe, as sources are. Throws what the source throws.
void read_content(const Inode& file, std::uint64_t offset, std::span<std::byte> out);

// Whether no extent touches [offset, offset + length): known to be zeros without reading.
bool is_hole(const Inode& file, std::uint64_t offset, std::uint64_t length);

// Of bytes that were read; there is at least one.
bool all_zeros(std::span<const std::byte> data);

// Whether extents cover less than the file's size.
bool has_holes(const Inode& file);

}  // namespace sif
