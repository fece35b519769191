// SPDX-License-Identifier: Apache-2.0
// A small thread-safe map that keeps the most recently used values: bounded memory for what is
// derived from hostile images.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace sif {

template <typename Key, typename Value>
class RecentMap {
 public:
  explicit RecentMap(std::size_t capacity) : capacity_(capacity) {}

  // The value of `key`, made by `make` (called under no lock, perhaps by two threads at once, of
  // which one wins).
  template <typename Make>
  std::shared_ptr<Value> get(const Key& key, Make make) {
    if (std::shared_ptr<Value> found = find(key)) return found;
    std::shared_ptr<Value> fresh = make();
    const std::lock_guard lock(mutex_);
    if (const auto it = position_of(key); it != entries_.end()) return it->second;
    if (entries_.size() >= capacity_) entries_.pop_back();
    entries_.emplace(entries_.begin(), key, fresh);
    return fresh;
  }

  std::shared_ptr<Value> find(const Key& key) {
    const std::lock_guard lock(mutex_);
    const auto it = position_of(key);
    if (it == entries_.end()) return nullptr;
    std::rotate(entries_.begin(), it, it + 1);
    return entries_.front().second;
  }

 private:
  using Entries = std::vector<std::pair<Key, std::shared_ptr<Value>>>;
  typename Entries::iterator position_of(const Key& key) {
    return std::find_if(entries_.begin(), entries_.end(),
                        [&](const auto& entry) { return entry.first == key; });
  }

  const std::size_t capacity_;
  std::mutex mutex_;
  Entries entries_;  // most recent first
};

}  // namespace sif
