// SPDX-License-Identifier: Apache-2.0
// Finds files with the same bytes before anything is compressed. Only files whose size is not
// unique are looked at, only those with the same ends are hashed, and only a comparison of all
// bytes decides: a hostile image cannot make two different files one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "sif/tree.h"
#include "sif/tree_plan.h"

namespace sif {

class DuplicateFiles {
 public:
  // `is_stored` tells files that need not be found equal to one another. `keep_going` is called
  // between reads and may throw. Not thread-safe.
  DuplicateFiles(const TreePlan& plan, const std::function<bool(const TreePlan::File&)>& is_stored,
                 std::function<void()> keep_going);

  // The label of an earlier file with the same content; nullopt otherwise, and `file` is remembered
  // under `label`. Reads at most three times the file's size.
  std::optional<std::uint32_t> find_or_add(const Inode& file, std::uint32_t label);

 private:
  struct Hash {
    std::uint64_t low = 0, high = 0;
    bool operator==(const Hash&) const = default;
  };
  struct Known {
    const Inode* file;
    std::uint32_t label;
    std::optional<Hash> hash;  // of all bytes; made when a second file has the same size and ends
  };
  struct Key {
    std::uint64_t size, ends;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return key.ends ^ (key.size * 0x9E3779B97F4A7C15);
    }
  };
  // Files with the same size and ends, by the hash of all bytes; the first one waits unhashed.
  struct Bucket {
    Known first;
    std::unordered_map<std::uint64_t, Known> others;  // by Hash::low
  };

  std::uint64_t hash_of_ends(const Inode& file);
  Hash hash_of_all(const Inode& file);
  bool same_bytes(const Inode& a, const Inode& b);

  std::function<void()> keep_going_;
  std::unordered_set<std::uint64_t> shared_sizes_;
  std::unordered_map<Key, Bucket, KeyHash> buckets_;
  std::vector<std::byte> buffer_, other_buffer_;
};

}  // namespace sif
