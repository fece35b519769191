// SPDX-License-Identifier: Apache-2.0
#include "sif/block_cache.h"

#include <utility>

namespace sif {

BufferPool::Buffer BufferPool::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      Buffer buffer = std::move(free_.back());
      free_.pop_back();
      return buffer;
    }
  }
  return std::make_unique_for_overwrite<std::byte[]>(buffer_size_);
}

void BufferPool::give_back(Buffer buffer) {
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(buffer));
}

BlockCache::BlockCache(std::size_t blocks, std::size_t block_size)
    : max_blocks_(blocks), buffers_(block_size) {}

BlockCache::BlockPointer BlockCache::find(const BlockKey& key) {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(key);
  if (found == index_.end()) return nullptr;
  return (*found->second)->block;
}

BlockCache::BlockPointer BlockCache::get(const BlockKey& key, const Loader& load) {
  EntryPointer entry;
  {
    std::unique_lock lock(mutex_);
    for (auto found = index_.find(key); found != index_.end(); found = index_.find(key)) {
      recent_.splice(recent_.begin(), recent_, found->second);
      const EntryPointer present = *found->second;
      loaded_.wait(lock, [&] { return present->block != nullptr || present->failed; });
      if (present->block) return present->block;
      // The other thread's load failed and its entry is gone: try for ourselves, for our own error.
    }
    make_room();
    entry = std::make_shared<Entry>(Entry{key, nullptr, false});
    recent_.push_front(entry);
    index_.emplace(key, recent_.begin());
  }
  try {
    const auto block = std::make_shared<Block>(buffers_);
    block->size_ = load({block->bytes_.get(), key.capacity});
    finish(entry, block);
    return block;
  } catch (...) {
    finish(entry, nullptr);
    throw;
  }
}

// Entries that are loading stay: their threads come back for them. So the cache may exceed its size
// by one block a thread.
void BlockCache::make_room() {
  auto it = recent_.end();
  while (recent_.size() >= max_blocks_ && it != recent_.begin()) {
    --it;
    if (!(*it)->block) continue;
    index_.erase((*it)->key);
    it = recent_.erase(it);
  }
}

void BlockCache::finish(const EntryPointer& entry, BlockPointer block) {
  {
    const std::lock_guard lock(mutex_);
    if (block) {
      entry->block = std::move(block);
    } else {
      entry->failed = true;
      const auto found = index_.find(entry->key);
      recent_.erase(found->second);
      index_.erase(found);
    }
  }
  loaded_.notify_all();
}

}  // namespace sif
