// SPDX-License-Identifier: Apache-2.0
// Content of regular files: blocks, holes and tail ends in fragments. A block that the caller wants
// whole is inflated straight into the caller's buffer; everything else goes through one shared
// block cache. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
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

  // As those of SquashfsReader.
  void visit_blocks(const InodeRecord& file,
                    const std::function<void(const StoredBlock&)>& visit) const;
  std::optional<StoredTail> stored_tail(const InodeRecord& file) const;
  std::size_t copy_block(const StoredBlock& block, bool is_of_tails, std::span<std::byte> out,
                         std::span<std::byte> scratch) const;

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

  // Throws for what is no regular file, or has more blocks than make sense.
  std::uint64_t checked_block_count(const InodeRecord& file) const;
  StoredBlock fragment_block(const InodeRecord& file) const;
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
