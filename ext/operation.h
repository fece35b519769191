// SPDX-License-Identifier: Apache-2.0
// One change of a file system, of many steps that may fail on the way for want of space or for
// damage. Not for other folders.
#pragma once

#include <vector>

#include "ext/library.h"

namespace ext {

// Undoes what was done since its beginning, unless it is finished: the file, and what libext2fs
// keeps in memory. One within another is a part of that.
class Operation {
 public:
  // Throws EROFS where nothing may be changed.
  explicit Operation(FileSystem::Library& library);
  ~Operation();
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  void finish();

 private:
  FileSystem::Library& library_;
  const bool is_outermost_;
  bool is_finished_ = false;
  const InodeNumber last_orphan_;
  const std::vector<InodeNumber> orphans_;
};

}  // namespace ext
