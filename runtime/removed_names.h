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
// Only
//   system calls that make a name ask this.
//
// The last two get ESTALE if they are told the other's file. Most system calls then follow the path
// once more; those that make a name do not, and give ESTALE where EEXIST would be right.
//
// runtime/directory_probe tells the first from the others, guess() those from each other.
#pragma once

#include <chrono>
#include <cstddef>
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
  // which has it now. Whoever is told another one asks again at once (a path that led to ESTALE is
  // followed once more by the same system call), and is told the next.
  std::optional<ext::InodeNumber> guess(ext::InodeNumber directory, std::string_view name,
                                        std::optional<ext::InodeNumber> present);
  // The kernel forgets a file, as it does at once with one that it did not mean.
  void note_forgotten(ext::InodeNumber inode) { was_wrong_ = was_wrong_ || inode == guessed_; }
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
  struct Name {
    std::vector<Removed> files;           // the last one lost the name last
    std::vector<ext::InodeNumber> order;  // of guesses in a row
    std::size_t guesses = 0;              // that were made
  };
  // The most likely first.
  static std::vector<ext::InodeNumber> order_of(const std::vector<Removed>& files,
                                                std::optional<ext::InodeNumber> present);

  using Place = std::pair<ext::InodeNumber, std::string>;
  std::map<Place, Name> names_;
  Place last_;  // of the last guess
  ext::InodeNumber guessed_ = 0;
  Clock::time_point guessed_at_{};
  bool was_wrong_ = false;
};

}  // namespace runtime
