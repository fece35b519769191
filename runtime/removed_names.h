// SPDX-License-Identifier: Apache-2.0
// Names that a file with several has lost while the kernel knows the file. An overlay reaches the
// file by the name that it met first, whatever name a program uses, and has the file system confirm
// that name even after it was removed (ovl_dentry_revalidate() in fs/overlayfs/super.c,
// fuse_dentry_revalidate() in fs/fuse/dir.c): told that it is gone, the overlay answers ESTALE for
// all names. The request is the same LOOKUP with which a program asks for the name.
//
// Who asks is one of three:
//
// - A program, for the name: the kernel holds the directory's lock. It is told what there is.
// - The overlay, for a file that has lost the name: no lock. It must be told the file.
// - The overlay, for the file that has the name now: no lock, either. It must be told that one.
//   Only system calls that make a name ask this.
//
// The last two get ESTALE if they are told the other's file. Most system calls then follow the path
// once more; those that make a name do not, and give ESTALE where EEXIST would be right.
//
// runtime/directory_probe tells the first from the others, guess() those from each other. Where
// programs ask for lost names in one directory at the same time, or hold it without asking
// anything, the probe cannot tell who of several it is.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ext/file_system.h"

namespace runtime {

class RemovedNames {
 public:
  // `is_first`: the kernel was told of the file by this name first, as far as is known.
  void add(ext::InodeNumber directory, std::string_view name, ext::InodeNumber inode,
           bool is_first);
  bool empty() const { return names_.empty(); }
  bool contains(ext::InodeNumber directory, std::string_view name) const {
    return names_.contains({directory, std::string(name)});
  }
  // Which file the kernel has in mind when it confirms a name: one that has lost it, or `present`,
  // which has it now. Whoever is told another one asks again (a path that led to ESTALE is followed
  // once more by the same system call), and is told the next. `asker`: the thread's id.
  std::optional<ext::InodeNumber> guess(ext::InodeNumber directory, std::string_view name,
                                        std::optional<ext::InodeNumber> present,
                                        std::uint32_t asker);
  // The asker was told of the name as a program is, which may have been wrong, too. 0: there is
  // none.
  void note_answer(ext::InodeNumber directory, std::string_view name, ext::InodeNumber told,
                   std::uint32_t asker);
  // It was told wrongly a moment ago, as far as is known, so it is likely not a program.
  bool was_told_wrongly(ext::InodeNumber directory, std::string_view name,
                        std::uint32_t asker) const;
  // The name was made, or removed: whatever was told of it says nothing of what will be asked.
  void note_change(ext::InodeNumber directory, std::string_view name);
  // The kernel forgets a file, as it does at once with one that it did not mean.
  void note_forgotten(ext::InodeNumber inode);
  // The directory is gone; its number will be another's.
  void remove_in(ext::InodeNumber directory);
  // The file has no name left, or the kernel has forgotten it.
  void remove_all(ext::InodeNumber inode);

 private:
  using Clock = std::chrono::steady_clock;

  struct Removed {
    ext::InodeNumber inode;
    bool is_likely;  // it is reached by this name, which was not confirmed yet
  };
  using Removals = std::vector<Removed>;  // of one name; the last one lost it last
  using Place = std::pair<ext::InodeNumber, std::string>;
  // What one asker was told of a name.
  struct Guess {
    Place place;
    std::uint32_t asker = 0;
    Clock::time_point at{};
    std::vector<ext::InodeNumber> told{};  // one after the other; all but the last were wrong
    bool was_wrong = false;                // the last one, too
  };

  // The most likely first.
  static std::vector<ext::InodeNumber> order_of(const Removals& files,
                                                std::optional<ext::InodeNumber> present);
  static bool is_to_continue(const Guess& guess);
  std::deque<Guess>::const_iterator find_guess(const Place& place, std::uint32_t asker) const;
  // Begun anew, unless it was wrong a moment ago.
  Guess& guess_of(const Place& place, std::uint32_t asker);

  std::map<Place, Removals> names_;
  std::deque<Guess> guesses_;  // the latest, the oldest first
};

}  // namespace runtime
