// SPDX-License-Identifier: Apache-2.0
#include "ext/name_index.h"

#include <algorithm>
#include <functional>

namespace ext {
namespace {

constexpr std::uint64_t kLeastBytes = 4 * 4096;
// Of all directories together; their index takes about twice as many.
constexpr std::uint64_t kMaxBytes = 16 << 20;

std::size_t hash_of(std::string_view name) { return std::hash<std::string_view>()(name); }

}  // namespace

void NameIndex::Directory::add(std::string_view name, Position position) {
  names_.emplace(hash_of(name), position);
}

void NameIndex::Directory::remove(std::string_view name, Position position) {
  const auto [first, last] = names_.equal_range(hash_of(name));
  const auto found =
      std::find_if(first, last, [&](const auto& each) { return each.second == position; });
  if (found != last) names_.erase(found);
}

std::vector<NameIndex::Position> NameIndex::Directory::find(std::string_view name) const {
  std::vector<Position> found;
  const auto [first, last] = names_.equal_range(hash_of(name));
  for (auto each = first; each != last; ++each) found.push_back(each->second);
  return found;
}

bool NameIndex::is_of_use(std::uint64_t directory_bytes) {
  return directory_bytes > kLeastBytes && directory_bytes <= kMaxBytes;
}

NameIndex::Directory* NameIndex::find(InodeNumber directory) {
  const auto found = directories_.find(directory);
  if (found == directories_.end()) return nullptr;
  found->second.used_at_ = ++uses_;
  return &found->second;
}

void NameIndex::make_room(std::uint64_t bytes, InodeNumber kept) {
  while (bytes_ + bytes > kMaxBytes) {
    const auto oldest = std::ranges::min_element(directories_, {}, [&](const auto& each) {
      return each.first == kept ? UINT64_MAX : each.second.used_at_;
    });
    if (oldest == directories_.end() || oldest->first == kept) return;
    remove(oldest->first);
  }
}

NameIndex::Directory& NameIndex::make(InodeNumber directory, std::uint64_t directory_bytes) {
  remove(directory);
  make_room(directory_bytes, directory);
  Directory& made = directories_[directory];
  made.bytes_ = directory_bytes;
  made.used_at_ = ++uses_;
  bytes_ += directory_bytes;
  return made;
}

void NameIndex::resize(InodeNumber directory, std::uint64_t directory_bytes) {
  const auto found = directories_.find(directory);
  if (found == directories_.end()) return;
  if (!is_of_use(directory_bytes)) return remove(directory);
  bytes_ += directory_bytes - found->second.bytes_;
  found->second.bytes_ = directory_bytes;
  make_room(0, directory);
}

void NameIndex::remove(InodeNumber directory) {
  const auto found = directories_.find(directory);
  if (found == directories_.end()) return;
  bytes_ -= found->second.bytes_;
  directories_.erase(found);
}

void NameIndex::clear() {
  directories_.clear();
  bytes_ = 0;
}

}  // namespace ext
