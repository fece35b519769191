// SPDX-License-Identifier: Apache-2.0
#include "ext/operation.h"

#include <utility>

namespace ext {

Operation::Operation(FileSystem::Library& library)
    : library_(library),
      is_outermost_(!library.in_operation),
      last_orphan_(library.fs->super->s_last_orphan),
      orphans_(library.orphans) {
  library.require_writable();
  if (!is_outermost_) return;
  library.in_operation = true;
  library.counted.clear();
  library.transaction.begin();
}

void Operation::finish() {
  is_finished_ = true;
  if (!is_outermost_) return;
  library_.in_operation = false;
  library_.transaction.keep();
}

Operation::~Operation() {
  if (is_finished_ || !is_outermost_) return;
  library_.in_operation = false;
  ext2_filsys fs = library_.fs;
  const auto counted = std::exchange(library_.counted, {});
  for (auto each = counted.rbegin(); each != counted.rend(); ++each) {
    if (each->is_inode) {
      ext2fs_inode_alloc_stats2(fs, static_cast<ext2_ino_t>(each->number), -each->in_use,
                                each->is_directory);
    } else {
      for (std::uint64_t i = 0; i < each->count; ++i)
        ext2fs_block_alloc_stats2(fs, each->number + i, -each->in_use);
    }
  }
  fs->super->s_last_orphan = last_orphan_;
  library_.orphans = orphans_;
  library_.transaction.undo();
  library_.names.clear();
  ext2fs_flush_icache(fs);
}

}  // namespace ext
