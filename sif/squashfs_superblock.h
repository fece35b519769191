// SPDX-License-Identifier: Apache-2.0
// The squashfs superblock and the small tables that are read at open: ids, and the indexes of the
// fragment and xattr tables. Everything later positions are compared with is checked here.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "sif/image_bytes.h"
#include "sif/metadata_cache.h"
#include "sif/squashfs_format.h"

namespace sif {

// In place of the position of a table that the image lacks.
inline constexpr std::uint64_t kNoTable = ~std::uint64_t{0};

struct Superblock {
  std::uint32_t inode_count = 0, block_size = 0, fragment_count = 0;
  Codec codec{};
  std::uint16_t flags = 0, id_count = 0;
  std::uint64_t root_inode = 0, bytes_used = 0;
  std::uint64_t id_table = 0, xattr_table = 0, inode_table = 0, directory_table = 0,
                fragment_table = 0;
  std::uint64_t directory_end = 0;  // where the first table behind the directories starts
};

// Throws EIO for anything that is not a sound squashfs 4.0 superblock fitting into the image.
Superblock read_superblock(const ImageBytes& image);

// Positions of the metadata blocks that hold a table of `entry_count` entries of `entry_size`
// bytes; the index lies at `index_position` in the image.
std::vector<std::uint64_t> read_table_index(const ImageBytes& image, std::uint64_t index_position,
                                            std::uint64_t entry_count, std::uint32_t entry_size,
                                            std::string_view structure);

// The numeric owners that inodes refer to by position.
std::vector<std::uint32_t> read_id_table(const MetadataCache& metadata, const Superblock& super);

}  // namespace sif
