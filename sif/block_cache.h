// SPDX-License-Identifier: Apache-2.0
// The least recently used inflated data and fragment blocks, shared by all threads. An entry is
// visible while it is loading, so two threads that want the same block inflate it once. All members
// are thread-safe.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sif {

// What is stored where, and how many inflated bytes the reader expects at most: a hostile image may
// describe the same place in several ways, and those are different blocks.
struct BlockKey {
  std::uint64_t position = 0;
  std::uint32_t size_word = 0;
  std::uint32_t capacity = 0;
  bool operator==(const BlockKey&) const = default;
};

// Buffers of one size, kept for the next block: fresh memory of this size costs a page fault every
// 4 KiB.
class BufferPool {
 public:
  explicit BufferPool(std::size_t buffer_size) : buffer_size_(buffer_size) {}
  using Buffer = std::unique_ptr<std::byte[]>;
  Buffer take();
  void give_back(Buffer buffer);

 private:
  const std::size_t buffer_size_;
  std::mutex mutex_;
  std::vector<Buffer> free_;
};

class BlockCache {
 public:
  BlockCache(std::size_t blocks, std::size_t block_size);

  class Block;
  using BlockPointer = std::shared_ptr<const Block>;
  // Fills the buffer (key.capacity bytes, at most the block size) and gives the count; throws when
  // the block is corrupt.
  using Loader = std::function<std::size_t(std::span<std::byte>)>;

  // The block, loaded by this call or by the thread that is at it already. A failed load throws in
  // every waiting thread and is not remembered.
  BlockPointer get(const BlockKey& key, const Loader& load);
  // The block if it is there; never waits for a load.
  BlockPointer find(const BlockKey& key);

 private:
  struct Entry {
    BlockKey key;
    BlockPointer block;  // null while loading
    bool failed = false;
  };
  using EntryPointer = std::shared_ptr<Entry>;
  struct KeyHash {
    std::size_t operator()(const BlockKey& key) const {
      return std::hash<std::uint64_t>{}(key.position ^ (std::uint64_t{key.size_word} << 40));
    }
  };

  void make_room();
  void finish(const EntryPointer& entry, BlockPointer block);

  const std::size_t max_blocks_;
  BufferPool buffers_;  // outlives the blocks
  std::mutex mutex_;
  std::condition_variable loaded_;
  std::list<EntryPointer> recent_;  // most recent first
  std::unordered_map<BlockKey, std::list<EntryPointer>::iterator, KeyHash> index_;
};

// One inflated block; must not outlive its cache.
class BlockCache::Block {
 public:
  explicit Block(BufferPool& pool) : pool_(pool), bytes_(pool.take()) {}
  ~Block() { pool_.give_back(std::move(bytes_)); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  std::span<const std::byte> bytes() const { return {bytes_.get(), size_}; }

 private:
  friend class BlockCache;
  BufferPool& pool_;
  BufferPool::Buffer bytes_;
  std::size_t size_ = 0;
};

}  // namespace sif
