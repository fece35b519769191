// SPDX-License-Identifier: Apache-2.0
// Where the names of large directories lie, so that nobody has to search them from the start: kept
// in memory, for the directories that were used last. Not for other folders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ext/file_system.h"

namespace ext {

class NameIndex {
 public:
  struct Position {
    std::uint64_t physical = 0, logical = 0;  // the block, see DirectoryBlock
    std::size_t offset = 0;                   // of the entry in it
    bool operator==(const Position&) const = default;
  };

  class Directory {
   public:
    void add(std::string_view name, Position position);
    void remove(std::string_view name, Position position);
    // Of all names with the same hash.
    std::vector<Position> find(std::string_view name) const;

    // Whoever adds a name need not look for room in the blocks before this one.
    std::uint64_t first_with_room = 0;

   private:
    friend class NameIndex;
    std::unordered_multimap<std::size_t, Position> names_;
    std::uint64_t bytes_ = 0, used_at_ = 0;
  };

  // Small directories are as quickly searched, and what would take too much memory is not kept.
  static bool is_of_use(std::uint64_t directory_bytes);

  // Null if it is not known. Valid until the next call that is not find().
  Directory* find(InodeNumber directory);
  // Both forget those that were not used for the longest time; resize() perhaps the directory, too.
  Directory& make(InodeNumber directory, std::uint64_t directory_bytes);
  void resize(InodeNumber directory, std::uint64_t directory_bytes);
  void remove(InodeNumber directory);
  void clear();

 private:
  // Besides `kept`, so that there is room for that many bytes more.
  void make_room(std::uint64_t bytes, InodeNumber kept);

  std::map<InodeNumber, Directory> directories_;
  std::uint64_t bytes_ = 0, uses_ = 0;
};

}  // namespace ext
