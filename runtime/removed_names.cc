// SPDX-License-Identifier: Apache-2.0
#include "runtime/removed_names.h"

namespace runtime {
namespace {

// A system call that was told wrongly asks again within this time.
constexpr std::chrono::milliseconds kRetry{5};

}  // namespace

std::vector<ext::InodeNumber> RemovedNames::order_of(const std::vector<Removed>& files,
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
  was_wrong_ = false;
  std::vector<Removed>& files = names_[{directory, std::string(name)}].files;
  std::erase_if(files, [&](const Removed& each) { return each.inode == inode; });
  files.push_back({inode, is_first});
}

std::optional<ext::InodeNumber> RemovedNames::guess(ext::InodeNumber directory,
                                                    std::string_view name,
                                                    std::optional<ext::InodeNumber> present) {
  const auto found = names_.find({directory, std::string(name)});
  if (found == names_.end()) return present;
  Name& wanted = found->second;
  const Clock::time_point now = Clock::now();
  if (!was_wrong_ || found->first != last_ || now - guessed_at_ > kRetry) {
    wanted.order = order_of(wanted.files, present);
    wanted.guesses = 0;
  }
  const ext::InodeNumber chosen = wanted.order[wanted.guesses++ % wanted.order.size()];
  for (Removed& each : wanted.files)
    if (each.inode == chosen) each.is_likely = false;
  last_ = found->first;
  guessed_ = chosen;
  guessed_at_ = now;
  was_wrong_ = false;
  return chosen;
}

void RemovedNames::remove_in(ext::InodeNumber directory) {
  std::erase_if(names_, [&](const auto& each) { return each.first.first == directory; });
}

void RemovedNames::remove_all(ext::InodeNumber inode) {
  was_wrong_ = false;  // the order of guesses may have it
  for (auto& [place, name] : names_)
    std::erase_if(name.files, [&](const Removed& file) { return file.inode == inode; });
  std::erase_if(names_, [](const auto& each) { return each.second.files.empty(); });
}

}  // namespace runtime
