// SPDX-License-Identifier: Apache-2.0
// One inode of a squashfs image, decoded and checked. Parts of unbounded length (block sizes,
// directory index, symlink target) stay in the image: `tail` says where they start.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "sif/metadata_cache.h"
#include "sif/squashfs_reader.h"
#include "sif/squashfs_superblock.h"

namespace sif {

// By the number of the basic type, less one, which inodes and directory entries have.
inline constexpr std::array kFileTypes = {
    FileType::directory,   FileType::regular, FileType::symlink, FileType::block_device,
    FileType::char_device, FileType::fifo,    FileType::socket};

struct InodeRecord {
  InodeAttributes attributes;
  bool is_extended = false;
  MetadataPosition tail;
  // Directories: the listing starts at this position and has `listing_size` bytes.
  MetadataPosition listing;
  std::uint32_t listing_size = 0;
  std::uint16_t index_count = 0;
  // Regular files: where the first block is stored, and the tail end's place in a fragment.
  std::uint64_t data_position = 0;
  std::uint32_t fragment = kNoFragment, fragment_offset = 0;
};

// What every part of the reader needs; made at open, constant afterwards.
struct ImageTables {
  const ImageBytes& image;
  const Superblock& super;
  const MetadataCache& metadata;
  std::span<const std::uint32_t> ids;
};

// Throws EIO for an unknown type, an owner outside the id table, or a position outside the table.
InodeRecord read_inode(const ImageTables& tables, InodeRef ref);

// How many blocks, with a size each in the inode's list, a regular file has besides its tail end.
std::uint64_t block_count(const ImageTables& tables, const InodeRecord& file);

// Where the next inode of the table starts; nullopt behind the last one. Throws EIO.
std::optional<InodeRef> next_inode(const ImageTables& tables, const InodeRecord& inode);

// A cursor into the inode table.
MetadataCursor inode_table_cursor(const ImageTables& tables, MetadataPosition position);

}  // namespace sif
