// SPDX-License-Identifier: Apache-2.0
#include "ext/file_system.h"

#include <cerrno>
#include <cstdarg>
#include <utility>

#include "base/log.h"
#include "ext/library.h"
#include "ext/superblock_check.h"

namespace ext {
namespace {

constexpr std::uint64_t kMaxJournalBlocks = 1 << 18;  // as mke2fs has it
constexpr std::size_t kMaxWaitingBytes = 16 << 20;

std::vector<std::uint64_t> blocks_of_journal(FileSystem::Library& library) {
  const InodeNumber number = library.fs->super->s_journal_inum;
  ext2_inode_large inode{};
  check(ext2fs_read_inode_full(library.fs, number, library.generic(inode), library.inode_bytes()),
        library.name(), ": cannot read the journal's inode");
  const std::uint64_t count = EXT2_I_SIZE(&inode) / library.fs->blocksize;
  if (count > kMaxJournalBlocks) throw library.damage(base::cat("a journal of ", count, " blocks"));
  std::vector<std::uint64_t> blocks;
  for (std::uint64_t i = 0; i < count; ++i) blocks.push_back(library.find_block(number, inode, i));
  return blocks;
}

void note_allocation(ext2_filsys fs, blk64_t block, int in_use) {
  static_cast<FileSystem::Library*>(fs->priv_data)->note_blocks(block, 1, in_use);
}

void note_allocations(ext2_filsys fs, blk64_t block, blk_t count, int in_use) {
  static_cast<FileSystem::Library*>(fs->priv_data)->note_blocks(block, count, in_use);
}

}  // namespace

FileSystem::Library::~Library() {
  if (fs != nullptr) ext2fs_free(fs);  // without writing: what is not committed never was
}

base::Error FileSystem::Library::damage(const std::string& what) const {
  return base::Error(base::cat(name(), ": corrupt ext file system: ", what), EIO)
      .with_hint(base::cat("e2fsck -fp ", name(), " may repair it"));
}

void FileSystem::Library::require_writable() const {
  if (!writable) throw base::Error(base::cat(name(), ": cannot be written to"), EROFS);
}

FileSystem::FileSystem(Partition partition, Access access) {
  library_ = std::make_unique<Library>(std::move(partition));
  initialize_ext2_error_table();
  // What libext2fs says by itself goes with the code that it returns.
  set_com_err_hook([](const char*, errcode_t, const char*, va_list) {});
  open(access);
  recover(access);
  if (access == Access::read_write) prepare_for_changes();
}

void FileSystem::open(Access access) {
  Library& library = *library_;
  if (library.fs != nullptr) ext2fs_free(std::exchange(library.fs, nullptr));
  check_superblock(library.transaction);
  const int flags =
      EXT2_FLAG_64BITS | EXT2_FLAG_SKIP_MMP | (access == Access::read_write ? EXT2_FLAG_RW : 0);
  check(
      ext2fs_open(name_of(library.transaction).c_str(), flags, 0, 0, device_manager(), &library.fs),
      "cannot open the ext file system in ", library.name());
  refuse_unknown_features(library.name(), *library.fs->super);
  library.fs->flags |= EXT2_FLAG_MASTER_SB_ONLY;
  library.fs->priv_data = &library;
}

FileSystem::~FileSystem() = default;

Statistics FileSystem::statistics() const {
  ext2_super_block* const super = library_->fs->super;
  return {library_->fs->blocksize, ext2fs_blocks_count(super), ext2fs_free_blocks_count(super),
          super->s_inodes_count, super->s_free_inodes_count};
}

bool FileSystem::has_nanoseconds() const {
  return EXT2_INODE_SIZE(library_->fs->super) > EXT2_GOOD_OLD_INODE_SIZE;
}

// Whoever had it open before may have been killed.
void FileSystem::recover(Access access) {
  Library& library = *library_;
  ext2_super_block& super = *library.fs->super;
  if (!ext2fs_has_feature_journal(&super)) return;
  library.journal = Journal::open(library.transaction.partition(), library.fs->blocksize,
                                  blocks_of_journal(library));
  if (!ext2fs_has_feature_journal_needs_recovery(&super)) return;
  if (library.journal && !library.journal->is_empty()) {
    if (access == Access::read_write) {
      library.journal->replay();
    } else {
      library.transaction.show(library.journal->pending());
    }
    open(access);
  } else if (!library.journal && access == Access::read_write) {
    throw base::error(library.name(),
                      ": it was not left cleanly, and its journal is of a kind not known here")
        .with_hint(
            base::cat("e2fsck -fp ", library.name(), " repairs it; add :ro to use it as it is"));
  }
}

void FileSystem::begin_counting() {
  ext2_filsys fs = library_->fs;
  check(ext2fs_read_bitmaps(fs), library_->name(), ": cannot read its bitmaps");
  ext2fs_set_block_alloc_stats_callback(fs, note_allocation, nullptr);
  ext2fs_set_block_alloc_stats_range_callback(fs, note_allocations, nullptr);
}

void FileSystem::begin_private_changes() {
  Library& library = *library_;
  if (library.writable) return;
  if (library.failure) throw *library.failure;
  begin_counting();
  library.fs->flags |= EXT2_FLAG_RW;
  library.transaction.keep_all();
  library.writable = library.is_private = true;
}

void FileSystem::prepare_for_changes() {
  Library& library = *library_;
  refuse_counted_features(library.name(), *library.fs->super);
  refuse_unsound(library.name(), *library.fs->super);
  begin_counting();
  library.writable = true;
  mark(true);
  library.free_orphans_of_the_dead();
}

// Tells those who open the file system after us whether to look into the journal; without one,
// whether to check everything. The superblock is one block, so no journal is needed for it.
void FileSystem::mark(bool in_use) {
  Library& library = *library_;
  ext2_super_block& super = *library.fs->super;
  if (library.journal && in_use) {
    ext2fs_set_feature_journal_needs_recovery(&super);
  } else if (library.journal) {
    ext2fs_clear_feature_journal_needs_recovery(&super);
  } else if (in_use) {
    super.s_state &= static_cast<std::uint16_t>(~EXT2_VALID_FS);
  } else {
    super.s_state |= EXT2_VALID_FS;
  }
  ext2fs_mark_super_dirty(library.fs);
  collect();
  write_in_place();
  // A journal is looked into only after a commit, which waits for the disk first.
  if (!library.journal || !in_use) library.transaction.partition().sync();
}

// What libext2fs keeps in memory: bitmaps, group descriptors, the superblock.
void FileSystem::collect() {
  check(ext2fs_flush2(library_->fs, EXT2_FLAG_FLUSH_NO_SYNC), library_->name(),
        ": cannot write its superblock and bitmaps");
}

void FileSystem::write_in_place() {
  Transaction& transaction = library_->transaction;
  const Partition& partition = transaction.partition();
  for (const auto& [block, content] : transaction.changes())
    partition.write(block * library_->fs->blocksize, content);
  transaction.clear();
}

bool FileSystem::has_changes() const {
  if (!library_->writable || library_->is_private) return false;
  return !library_->transaction.changes().empty() ||
         (library_->fs->flags & (EXT2_FLAG_DIRTY | EXT2_FLAG_BB_DIRTY | EXT2_FLAG_IB_DIRTY)) != 0;
}

bool FileSystem::is_full() const {
  const std::size_t waiting = library_->transaction.changes().size();
  return waiting * library_->fs->blocksize > kMaxWaitingBytes ||
         (library_->journal && waiting > library_->journal->capacity() / 2);
}

// After a failure only the journal knows what the file has of the changes; more would make it
// worse.
void FileSystem::commit() {
  Library& library = *library_;
  library.require_writable();
  if (library.is_private) return;
  try {
    library.writable = false;
    write_changes();
    library.writable = true;
  } catch (const base::Error& error) {
    library.failure = error;
    throw;
  }
}

void FileSystem::write_changes() {
  Library& library = *library_;
  Transaction& transaction = library.transaction;
  collect();
  if (library.journal && !transaction.changes().empty() &&
      library.journal->commit(transaction.changes())) {
    transaction.clear();
  } else {
    write_in_place();
    transaction.partition().sync();
  }
}

void FileSystem::close() {
  Library& library = *library_;
  if (library.failure) throw *library.failure;
  if (!library.writable || library.is_private) return;
  // Before anything that may fail. What cannot be freed stays in the chain of orphans.
  if (has_changes() && !library.orphans.empty()) commit();
  for (const InodeNumber orphan : std::vector(library.orphans)) {
    try {
      drop(orphan);
    } catch (const base::Error& error) {
      base::log_warning(error.what());
    }
  }
  commit();
  mark(false);
  library.writable = false;
}

}  // namespace ext
