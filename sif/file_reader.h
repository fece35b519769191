// SPDX-License-Identifier: Apache-2.0
// Content of regular files: blocks, holes and tail ends in fragments. A block that the caller wants
// whole is inflated straight into the caller's buffer; everything else goes through one shared
// block cache. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "sif/block_cache.h"
#include "sif/inode_reader.h"
#include "sif/recent_map.h"

namespace sif {

// 16 TiB at the usual block size; bounds the search for a block in a hostile block list.
inline constexpr std::uint64_t kMaxBlocksPerFile = 1 << 27;

class FileReader {
 public:
  explicit FileReader(const ImageTables& tables);

  std::size_t read(const InodeRecord& file, std::uint64_t offset, std::span<std::byte> out) const;

 private:
  // A place in a file's block list: sizes are stored, positions are their running sum.
  struct ListPosition {
    std::uint64_t data_position = 0;
    MetadataPosition size_word;
  };
  // Every `stride`-th place of a big file's list, found once; a few hundred KiB at most.
  struct Checkpoints {
    std::uint64_t stride = 0;
    std::mutex mutex;
    std::vector<ListPosition> places;  // of blocks 0, stride, 2 * stride, ...
  };
  class BlockList;

  ListPosition find_block(const InodeRecord& file, std::uint64_t block_count,
                          std::uint64_t block) const;
  ListPosition advance(ListPosition from, std::uint64_t blocks) const;
  void read_block(std::uint64_t position, std::uint32_t size_word, std::size_t block_bytes,
                  std::size_t skip, std::span<std::byte> out) const;
  void read_tail(const InodeRecord& file, std::size_t tail_bytes, std::size_t skip,
                 std::span<std::byte> out) const;
  BlockCache::BlockPointer cached_block(std::uint64_t position, std::uint32_t size_word,
                                        std::size_t capacity) const;
  std::size_t load(std::uint64_t position, std::uint32_t size_word, std::span<std::byte> out) const;
  std::uint32_t stored_size(std::uint32_t size_word) const;

  const ImageTables& tables_;
  std::vector<std::uint64_t> fragment_index_;
  mutable BlockCache cache_;
  mutable RecentMap<InodeRef, Checkpoints> checkpoints_{64};
};

}  // namespace sif
