// SPDX-License-Identifier: Apache-2.0
#include "runtime/known_inodes.h"

#include <algorithm>
#include <functional>

namespace runtime {
namespace {

std::uint64_t hash_of(NamedPlace place) {
  return std::hash<std::string_view>()(place.name) * 31 + place.directory;
}

}  // namespace

void KnownInodes::add(ext::InodeNumber inode, NamedPlace place) {
  Known& known = known_[inode];
  if (++known.times == 1) known.first_place = hash_of(place);
}

bool KnownInodes::forget(ext::InodeNumber inode, std::uint64_t times) {
  const auto found = known_.find(inode);
  if (found == known_.end()) return false;
  removed_.note_forgotten(inode);
  found->second.times -= std::min(found->second.times, times);
  if (found->second.times > 0) return false;
  known_.erase(found);
  if (!removed_.empty()) removed_.remove_all(inode);
  return true;
}

void KnownInodes::lose_name(ext::InodeNumber inode, NamedPlace place, bool has_overlay_inode) {
  note_change(place);
  const auto found = known_.find(inode);
  if (has_overlay_inode && found != known_.end()) {
    removed_.add(place.directory, place.name, inode, found->second.first_place == hash_of(place));
  } else if (!removed_.empty()) {
    removed_.remove_all(inode);
  }
}

void KnownInodes::move(ext::InodeNumber inode, NamedPlace from, NamedPlace to) {
  note_change(from);
  note_change(to);
  const auto found = known_.find(inode);
  if (found != known_.end() && found->second.first_place == hash_of(from))
    found->second.first_place = hash_of(to);
}

void KnownInodes::drop(ext::InodeNumber inode) {
  if (!removed_.empty()) removed_.remove_in(inode);
}

}  // namespace runtime
