// SPDX-License-Identifier: Apache-2.0
// Inodes without a name that are still in use. The superblock names the last one, each the one
// before it in place of its time of deletion, as the kernel keeps them (fs/ext4/orphan.c).
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "ext/library.h"
#include "ext/operation.h"

namespace ext {
namespace {

// Files that are open while they have no name; each is looked for among all.
constexpr std::size_t kMaxOrphans = 1 << 16;

}  // namespace

bool FileSystem::Library::is_orphan(InodeNumber number) const {
  return std::ranges::find(orphans, number) != orphans.end();
}

void FileSystem::Library::set_next_orphan(InodeNumber number, InodeNumber next) {
  ext2_inode_large inode = read_inode(number);
  inode.i_dtime = next;
  write_inode(number, inode);
}

void FileSystem::Library::add_orphan(InodeNumber number) {
  orphans.push_back(number);
  set_next_orphan(number, fs->super->s_last_orphan);
  fs->super->s_last_orphan = number;
  ext2fs_mark_super_dirty(fs);
}

void FileSystem::Library::remove_orphan(InodeNumber number) {
  const auto at = std::ranges::find(orphans, number);
  const InodeNumber before = at == orphans.begin() ? 0 : *(at - 1);
  if (at + 1 == orphans.end()) {
    fs->super->s_last_orphan = before;
    ext2fs_mark_super_dirty(fs);
  } else {
    set_next_orphan(*(at + 1), before);
  }
  set_next_orphan(number, 0);
  orphans.erase(at);
}

void FileSystem::Library::free_inode_and_blocks(InodeNumber number) {
  ext2_inode_large inode = read_inode(number);
  const bool has_blocks = ext2fs_inode_has_valid_blocks2(fs, generic(inode)) != 0;
  check(ext2fs_free_ext_attr(fs, number, nullptr), name(), ": cannot free inode ", number);
  if (has_blocks) free_blocks_from(number, 0);
  names.remove(number);
  remove_orphan(number);
  check(ext2fs_read_inode_full(fs, number, generic(inode), inode_bytes()), name(),
        ": cannot read inode ", number);
  inode.i_links_count = 0;
  inode.i_dtime = static_cast<std::uint32_t>(current_time().seconds);
  write_inode(number, inode);
  count_inode(number, -1, S_ISDIR(inode.i_mode));
}

// Left by whoever was killed while they were open. Those that have a name were being cut to their
// size.
void FileSystem::Library::free_orphans_of_the_dead() {
  InodeNumber next = fs->super->s_last_orphan;
  while (next != 0) {
    if (is_orphan(next)) throw damage("its chain of orphans is a loop");
    if (orphans.size() == kMaxOrphans) throw damage("its chain of orphans has no end");
    orphans.insert(orphans.begin(), next);
    next = read_inode(next).i_dtime;
  }
  for (const InodeNumber number : std::vector(orphans)) {
    try {
      Operation operation(*this);
      ext2_inode_large inode = read_inode(number);
      if (inode.i_links_count == 0) {
        free_inode_and_blocks(number);
      } else {
        if (S_ISREG(inode.i_mode)) set_size(number, inode, EXT2_I_SIZE(&inode));
        remove_orphan(number);
      }
      operation.finish();
    } catch (const base::Error& error) {
      base::log_warning(error.what());  // it stays where it is
    }
  }
}

void FileSystem::drop(InodeNumber number) {
  if (!library_->is_orphan(number)) return;
  Operation operation(*library_);
  library_->free_inode_and_blocks(number);
  operation.finish();
}

}  // namespace ext
