// SPDX-License-Identifier: Apache-2.0
#include "sif/duplicate_files.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "sif/file_content.h"

namespace sif {
namespace {

constexpr std::size_t kEnd = 4096;
constexpr std::size_t kChunk = 256 << 10;  // stays in the second-level cache while it is hashed

}  // namespace

DuplicateFiles::DuplicateFiles(const TreePlan& plan,
                               const std::function<bool(const TreePlan::File&)>& is_stored,
                               std::function<void()> keep_going)
    : keep_going_(std::move(keep_going)), buffer_(kChunk), other_buffer_(kChunk) {
  std::unordered_set<std::uint64_t> sizes, stored_sizes;
  for (const TreePlan::File& file : plan.files()) {
    const std::uint64_t size = file.inode->size;
    if (size == 0) continue;
    if (is_stored(file)) {
      stored_sizes.insert(size);
    } else if (!sizes.insert(size).second) {
      shared_sizes_.insert(size);
    }
  }
  for (const std::uint64_t size : stored_sizes)
    if (sizes.contains(size)) shared_sizes_.insert(size);
}

std::optional<std::uint32_t> DuplicateFiles::find_or_add(const Inode& file, std::uint32_t label) {
  // A file with holes may be of any size with nothing in it; reading it through is not worth it.
  if (!shared_sizes_.contains(file.size) || has_holes(file)) return std::nullopt;
  keep_going_();
  const auto [entry, added] =
      buckets_.try_emplace({file.size, hash_of_ends(file)}, Bucket{{&file, label, {}}, {}});
  if (added) return std::nullopt;

  Bucket& bucket = entry->second;
  const Hash hash = hash_of_all(file);
  if (!bucket.first.hash) bucket.first.hash = hash_of_all(*bucket.first.file);
  const Known* same = nullptr;
  if (*bucket.first.hash == hash) {
    same = &bucket.first;
  } else {
    const auto [other, is_new] = bucket.others.try_emplace(hash.low, Known{&file, label, hash});
    if (is_new) return std::nullopt;
    if (*other->second.hash == hash) same = &other->second;
  }
  // Collisions can be made on purpose: such a file is simply written again.
  if (same == nullptr || !same_bytes(file, *same->file)) return std::nullopt;
  return same->label;
}

std::uint64_t DuplicateFiles::hash_of_ends(const Inode& file) {
  const auto head = static_cast<std::size_t>(std::min<std::uint64_t>(file.size, kEnd));
  const auto tail = static_cast<std::size_t>(std::min<std::uint64_t>(file.size - head, kEnd));
  const std::span ends = std::span(buffer_).first(head + tail);
  read_content(file, 0, ends.first(head));
  read_content(file, file.size - tail, ends.last(tail));
  return XXH3_64bits(ends.data(), ends.size());
}

DuplicateFiles::Hash DuplicateFiles::hash_of_all(const Inode& file) {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                       XXH3_freeState);
  if (!state) throw std::bad_alloc();
  XXH3_128bits_reset(state.get());
  for (std::uint64_t offset = 0; offset < file.size; offset += kChunk) {
    keep_going_();
    const std::span chunk = std::span(buffer_).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(file.size - offset, kChunk)));
    read_content(file, offset, chunk);
    XXH3_128bits_update(state.get(), chunk.data(), chunk.size());
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  return {hash.low64, hash.high64};
}

bool DuplicateFiles::same_bytes(const Inode& a, const Inode& b) {
  for (std::uint64_t offset = 0; offset < a.size; offset += kChunk) {
    keep_going_();
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(a.size - offset, kChunk));
    read_content(a, offset, std::span(buffer_).first(count));
    read_content(b, offset, std::span(other_buffer_).first(count));
    if (std::memcmp(buffer_.data(), other_buffer_.data(), count) != 0) return false;
  }
  return true;
}

}  // namespace sif
