// SPDX-License-Identifier: Apache-2.0
// What the kernel knows of an ext file system that it writes to: how often it was told of each
// inode, which it tells back when it forgets (FUSE_FORGET), and by which names.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "ext/file_system.h"
#include "runtime/removed_names.h"

namespace runtime {

// A name in a directory, wherever both are needed as one.
struct NamedPlace {
  ext::InodeNumber directory = 0;
  std::string_view name{};
};

class KnownInodes {
 public:
  bool contains(ext::InodeNumber inode) const { return known_.contains(inode); }
  // The kernel is told of it once more, by that name.
  void add(ext::InodeNumber inode, NamedPlace place);
  // It has forgotten as many of those times; true if it does not know the inode any more.
  bool forget(ext::InodeNumber inode, std::uint64_t times);

  // An inode that keeps others has lost a name. `has_overlay_inode`: an overlay may reach it by
  // that, see runtime/removed_names.
  void lose_name(ext::InodeNumber inode, NamedPlace place, bool has_overlay_inode);
  void move(ext::InodeNumber inode, NamedPlace from, NamedPlace to);
  // Something has that name from now on.
  void note_change(NamedPlace place) { removed_.note_change(place.directory, place.name); }
  // It is gone; its number will be another's.
  void drop(ext::InodeNumber inode);

  bool may_confirm(NamedPlace place) const {
    return !removed_.empty() && removed_.contains(place.directory, place.name);
  }
  std::optional<ext::InodeNumber> guess(NamedPlace place, std::optional<ext::InodeNumber> present,
                                        std::uint32_t asker) {
    return removed_.guess(place.directory, place.name, present, asker);
  }
  void note_answer(NamedPlace place, ext::InodeNumber told, std::uint32_t asker) {
    removed_.note_answer(place.directory, place.name, told, asker);
  }
  bool was_told_wrongly(NamedPlace place, std::uint32_t asker) const {
    return removed_.was_told_wrongly(place.directory, place.name, asker);
  }

 private:
  struct Known {
    std::uint64_t times = 0;
    // Hash of the name by which the kernel was told first, wherever that is now.
    std::uint64_t first_place = 0;
  };
  std::unordered_map<ext::InodeNumber, Known> known_;
  RemovedNames removed_;
};

}  // namespace runtime
