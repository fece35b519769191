// SPDX-License-Identifier: Apache-2.0
// Metadata blocks (8 KiB pieces of the inode, directory, fragment and xattr tables), inflated once
// and kept: a path lookup then costs well under a microsecond per component. Lookup takes no lock;
// blocks are only ever added. All members are thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "sif/image_bytes.h"
#include "sif/squashfs_format.h"

namespace sif {

// A real image has 1-2 % metadata; what a hostile one inflates beyond this is not kept.
inline constexpr std::uint64_t kMaxCachedMetadata = 512ULL << 20;

struct MetadataBlock {
  std::uint64_t position = 0;  // of the block's header within the image
  std::uint64_t next = 0;      // position of the block behind it
  std::uint32_t size = 0;      // inflated, 1 to 8,192
  std::unique_ptr<std::byte[]> bytes;
  MetadataBlock* chain = nullptr;  // next block in the same bucket
};

class MetadataCache {
 public:
  // `expected_bytes` is the compressed size of the tables; it sizes the index, nothing else.
  MetadataCache(const ImageBytes& image, Codec codec, std::uint64_t expected_bytes);
  ~MetadataCache();
  MetadataCache(const MetadataCache&) = delete;
  MetadataCache& operator=(const MetadataCache&) = delete;

  // Keeps the block alive: borrowed from the cache, or owned when the cache is full.
  using BlockPointer = std::shared_ptr<const MetadataBlock>;
  // Throws EIO unless a sound block lies at `position` and ends at or before `limit`.
  BlockPointer fetch(std::uint64_t position, std::uint64_t limit, std::string_view structure) const;

  const ImageBytes& image() const { return image_; }

 private:
  std::unique_ptr<MetadataBlock> inflate(std::uint64_t position, std::uint64_t limit,
                                         std::string_view structure) const;
  std::atomic<MetadataBlock*>& bucket_of(std::uint64_t position) const;

  const ImageBytes& image_;
  Codec codec_;
  mutable std::vector<std::atomic<MetadataBlock*>> buckets_;  // a power of two of them
  mutable std::atomic<std::uint64_t> cached_bytes_ = 0;
};

// Where something starts in a table: a metadata block and the offset in its inflated bytes.
struct MetadataPosition {
  std::uint64_t block = 0;
  std::uint32_t offset = 0;
};

// Walks a table's bytes across its blocks. Blocks follow each other on disk, so a walk always ends
// at `limit`. Belongs to one thread.
class MetadataCursor {
 public:
  MetadataCursor(const MetadataCache& cache, MetadataPosition start, std::uint64_t limit,
                 std::string_view structure);

  template <std::integral T>
  T read() {
    return base::little_endian<T>(take(sizeof(T)));
  }
  // The next `count` bytes (at most kMaxTake), valid until the next call.
  std::span<const std::byte> take(std::size_t count);
  // Between 1 and `wanted` bytes, as many as one block has.
  std::span<const std::byte> take_some(std::size_t wanted);
  void read_into(std::span<std::byte> out);
  void skip(std::uint64_t count);
  MetadataPosition position() const { return {block_->position, offset_}; }
  // As position(), but the start of the next block rather than the end of one.
  MetadataPosition next_position() const {
    return offset_ == block_->size ? MetadataPosition{block_->next, 0} : position();
  }

  static constexpr std::size_t kMaxTake = 512;

 private:
  void enter_next_block();

  const MetadataCache& cache_;
  std::uint64_t limit_;
  std::string_view structure_;
  MetadataCache::BlockPointer block_;
  std::uint32_t offset_ = 0;
  std::array<std::byte, kMaxTake> scratch_;
};

}  // namespace sif
