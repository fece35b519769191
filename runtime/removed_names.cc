// SPDX-License-Identifier: Apache-2.0
#include "runtime/removed_names.h"

#include <algorithm>

namespace runtime {
namespace {

// A system call that was told wrongly asks again within this time, however busy the node is.
constexpr std::chrono::seconds kRetry{2};
constexpr std::size_t kMaxGuesses = 64;

}  // namespace

std::vector<ext::InodeNumber> RemovedNames::order_of(const Removals& files,
                                                     std::optional<ext::InodeNumber> present) {
  std::vector<ext::InodeNumber> order;
  // It is confirmed by system calls that make a name (LOOKUP_EXCL in fuse_dentry_revalidate()), and
  // those do not ask again.
  if (present) order.push_back(*present);
  for (const bool likely : {true, false})
    for (auto each = files.rbegin(); each != files.rend(); ++each)
      if (each->is_likely == likely) order.push_back(each->inode);
  return order;
}

void RemovedNames::add(ext::InodeNumber directory, std::string_view name, ext::InodeNumber inode,
                       bool is_first) {
  Removals& files = names_[{directory, std::string(name)}];
  std::erase_if(files, [&](const Removed& each) { return each.inode == inode; });
  files.push_back({inode, is_first});
}

bool RemovedNames::is_to_continue(const Guess& guess) {
  return guess.was_wrong && Clock::now() - guess.at < kRetry;
}

std::deque<RemovedNames::Guess>::const_iterator RemovedNames::find_guess(
    const Place& place, std::uint32_t asker) const {
  return std::ranges::find_if(
      guesses_, [&](const Guess& each) { return each.asker == asker && each.place == place; });
}

RemovedNames::Guess& RemovedNames::guess_of(const Place& place, std::uint32_t asker) {
  const auto found = find_guess(place, asker);
  Guess guess{place, asker};
  if (found != guesses_.end()) {
    if (is_to_continue(*found)) guess = *found;
    guesses_.erase(found);
  }
  guess.at = Clock::now();
  guess.was_wrong = false;
  if (guesses_.size() == kMaxGuesses) guesses_.pop_front();
  return guesses_.emplace_back(std::move(guess));
}

std::optional<ext::InodeNumber> RemovedNames::guess(ext::InodeNumber directory,
                                                    std::string_view name,
                                                    std::optional<ext::InodeNumber> present,
                                                    std::uint32_t asker) {
  const auto found = names_.find({directory, std::string(name)});
  if (found == names_.end()) return present;
  const std::vector<ext::InodeNumber> order = order_of(found->second, present);
  std::vector<ext::InodeNumber>& told = guess_of(found->first, asker).told;
  auto chosen = std::ranges::find_if(
      order, [&](ext::InodeNumber each) { return !std::ranges::count(told, each); });
  if (chosen == order.end()) {
    told.clear();
    chosen = order.begin();
  }
  told.push_back(*chosen);
  for (Removed& each : found->second)
    if (each.inode == *chosen) each.is_likely = false;
  return *chosen;
}

void RemovedNames::note_answer(ext::InodeNumber directory, std::string_view name,
                               ext::InodeNumber told, std::uint32_t asker) {
  Guess& guess = guess_of({directory, std::string(name)}, asker);
  guess.told.push_back(told);
  guess.was_wrong = told == 0;  // which is not told by forgetting anything
}

bool RemovedNames::was_told_wrongly(ext::InodeNumber directory, std::string_view name,
                                    std::uint32_t asker) const {
  const auto found = find_guess({directory, std::string(name)}, asker);
  return found != guesses_.end() && is_to_continue(*found);
}

void RemovedNames::note_change(ext::InodeNumber directory, std::string_view name) {
  std::erase_if(guesses_, [&](const Guess& each) {
    return each.place.first == directory && each.place.second == name;
  });
}

void RemovedNames::note_forgotten(ext::InodeNumber inode) {
  for (Guess& guess : guesses_)
    if (guess.told.back() == inode) guess.was_wrong = true;
}

void RemovedNames::remove_in(ext::InodeNumber directory) {
  std::erase_if(names_, [&](const auto& each) { return each.first.first == directory; });
}

void RemovedNames::remove_all(ext::InodeNumber inode) {
  for (auto& [place, files] : names_)
    std::erase_if(files, [&](const Removed& file) { return file.inode == inode; });
  std::erase_if(names_, [](const auto& each) { return each.second.empty(); });
}

}  // namespace runtime
