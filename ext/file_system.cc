// SPDX-License-Identifier: Apache-2.0
#include "ext/file_system.h"

#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/log.h"
#include "ext/library.h"
#include "ext/operation.h"

namespace ext {
namespace {

constexpr std::uint64_t kSuperblockOffset = 1024;
constexpr std::size_t kSuperblockBytes = 1024;
constexpr std::size_t kMagicOffset = 56;
constexpr std::uint64_t kMaxGroups = 1 << 17;         // 16 TiB in groups of the usual size
constexpr std::uint64_t kMaxJournalBlocks = 1 << 18;  // as mke2fs has it
constexpr std::size_t kMaxWaitingBytes = 16 << 20;
constexpr unsigned kMaxLinks = 65000;  // EXT4_LINK_MAX of the kernel

using Superblock = std::array<std::byte, kSuperblockBytes>;

bool has_magic(std::span<const std::byte> superblock) {
  return base::little_endian<std::uint16_t>(superblock.subspan(kMagicOffset)) == EXT2_SUPER_MAGIC;
}

base::Error unknown_feature(const std::string& name, const char* feature) {
  return base::error(name, ": ext file systems with the feature ", feature, " are not supported")
      .with_hint("make one with: sifrun overlay create FILE, or mkfs.ext3 FILE");
}

// libext2fs takes these numbers as they are, and each for agreeing with the others.
void check_superblock(Transaction& transaction) {
  const Partition& partition = transaction.partition();
  Superblock bytes;
  transaction.read_data(kSuperblockOffset, bytes);
  const std::span<const std::byte> whole(bytes);
  const auto number = [&](std::size_t at) {
    return std::uint64_t{base::little_endian<std::uint32_t>(whole.subspan(at))};
  };
  const auto small = [&](std::size_t at) {
    return std::uint64_t{base::little_endian<std::uint16_t>(whole.subspan(at))};
  };
  const auto check = [&](const char* what, std::uint64_t found, std::uint64_t lowest,
                         std::uint64_t highest) {
    if (found >= lowest && found <= highest) return found;
    throw base::Error(
        base::cat(partition.name(), ": corrupt ext superblock at offset ", kSuperblockOffset, ": ",
                  what, " is ", found, ", allowed are ", lowest, " to ", highest),
        EIO);
  };
  check("the magic number", small(kMagicOffset), EXT2_SUPER_MAGIC, EXT2_SUPER_MAGIC);
  const std::uint64_t log_block_size = check("the block size's code", number(24), 0, 6);
  const std::uint64_t block_size = std::uint64_t{1024} << log_block_size;
  if ((number(100) & EXT4_FEATURE_RO_COMPAT_BIGALLOC) != 0)
    throw unknown_feature(partition.name(), "bigalloc");
  check("the cluster size's code", number(28), log_block_size, log_block_size);
  const std::uint64_t first = log_block_size == 0 ? 1 : 0;
  check("the first data block", number(20), first, first);
  const bool is_64bit = (number(96) & EXT4_FEATURE_INCOMPAT_64BIT) != 0;
  const std::uint64_t blocks =
      check("the number of blocks", number(4) | (is_64bit ? number(336) << 32 : 0), first + 1,
            partition.size() / block_size);
  const std::uint64_t in_bitmap = 8 * block_size;
  const std::uint64_t per_group =
      check("the number of blocks in a group", number(32), 8, in_bitmap);
  check("the number of clusters in a group", number(36), per_group, per_group);
  const std::uint64_t groups = (blocks - first + per_group - 1) / per_group;
  check("the number of groups", groups, 1, kMaxGroups);
  const std::uint64_t inodes = check("the number of inodes in a group", number(40), 1, in_bitmap);
  check("the number of inodes", number(0), groups * inodes, groups * inodes);
  // Nothing of the file behind it is the file system's.
  transaction.shrink_to(blocks * block_size);
  if (number(76) == EXT2_GOOD_OLD_REV) return;
  const std::uint64_t inode_size =
      check("the size of inodes", small(88), EXT2_GOOD_OLD_INODE_SIZE, block_size);
  check("the size of inodes", inode_size, std::bit_floor(inode_size), std::bit_floor(inode_size));
  check("the number of reserved descriptor blocks", small(206), 0, block_size / 4);
  if (is_64bit) {
    const std::uint64_t size =
        check("the size of group descriptors", small(254), EXT2_MIN_DESC_SIZE_64BIT, block_size);
    check("the size of group descriptors", size, std::bit_floor(size), std::bit_floor(size));
  }
}

// What our own code for contents and directories does not know.
void refuse_unknown_features(const std::string& name, ext2_super_block& super) {
  const char* const feature = ext2fs_has_feature_inline_data(&super)   ? "inline_data"
                              : ext2fs_has_feature_encrypt(&super)     ? "encrypt"
                              : ext2fs_has_feature_casefold(&super)    ? "casefold"
                              : ext2fs_has_feature_journal_dev(&super) ? "journal_dev"
                              : ext2fs_has_feature_dirdata(&super)     ? "dirdata"
                                                                       : nullptr;
  if (feature != nullptr) throw unknown_feature(name, feature);
}

// What would become untrue by our changes.
void refuse_counted_features(const std::string& name, ext2_super_block& super) {
  const char* const feature = ext2fs_has_feature_quota(&super)     ? "quota"
                              : ext2fs_has_feature_project(&super) ? "project"
                              : ext2fs_has_feature_verity(&super)  ? "verity"
                                                                   : nullptr;
  if (feature != nullptr)
    throw base::error(name, ": ext file systems with the feature ", feature, " are only read")
        .with_hint(base::cat("add :ro, or: tune2fs -O ^", feature, " ", name));
}

void refuse_unsound(const std::string& name, const ext2_super_block& super) {
  const bool has_errors = (super.s_state & EXT2_ERROR_FS) != 0;
  if (!has_errors && (super.s_state & EXT2_VALID_FS) != 0) return;
  throw base::error(
      name, has_errors ? ": its file system has errors" : ": its file system was not left cleanly")
      .with_hint(base::cat("e2fsck -fp ", name, " repairs it; add :ro to use it as it is"));
}

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

Time time_of(std::uint32_t seconds, std::uint32_t extra, bool has_extra) {
  // The lowest two bits continue the signed seconds, the rest are nanoseconds.
  Time time{static_cast<std::int32_t>(seconds), 0};
  if (!has_extra) return time;
  time.seconds += static_cast<std::int64_t>(extra & EXT4_EPOCH_MASK) << 32;
  time.nanoseconds = extra >> EXT4_EPOCH_BITS;
  if (time.nanoseconds >= 1'000'000'000) time.nanoseconds = 0;
  return time;
}

// What the inode cannot hold becomes the nearest that it can, as in the kernel.
void put_time(const Time& time, std::uint32_t& seconds, std::uint32_t& extra, bool has_extra) {
  constexpr std::int64_t kLatest = INT32_MAX + (std::int64_t{EXT4_EPOCH_MASK} << 32);
  const std::int64_t clamped =
      std::clamp<std::int64_t>(time.seconds, INT32_MIN, has_extra ? kLatest : INT32_MAX);
  seconds = static_cast<std::uint32_t>(clamped);
  if (!has_extra) return;
  const std::int64_t epoch = (clamped - static_cast<std::int32_t>(seconds)) >> 32;
  extra = (static_cast<std::uint32_t>(epoch) & EXT4_EPOCH_MASK) | time.nanoseconds
                                                                      << EXT4_EPOCH_BITS;
}

bool has_extra_times(const ext2_inode_large& inode) {
  return inode.i_extra_isize >= offsetof(ext2_inode_large, i_crtime) - EXT2_GOOD_OLD_INODE_SIZE;
}

void put_changed(ext2_inode_large& inode, const Time& time) {
  put_time(time, inode.i_ctime, inode.i_ctime_extra, has_extra_times(inode));
}

}  // namespace

Time current_time() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return {now.tv_sec, static_cast<std::uint32_t>(now.tv_nsec)};
}

bool is_file_system(const Partition& partition) {
  if (partition.size() < kSuperblockOffset + kSuperblockBytes) return false;
  Superblock bytes;
  partition.read(kSuperblockOffset, bytes);
  return has_magic(bytes);
}

FileSystem::Library::~Library() {
  if (fs != nullptr) ext2fs_free(fs);  // without writing: what is not committed never was
}

int FileSystem::Library::inode_bytes() const {
  return std::min<int>(EXT2_INODE_SIZE(fs->super), sizeof(ext2_inode_large));
}

base::Error FileSystem::Library::damage(const std::string& what) const {
  return base::Error(base::cat(name(), ": corrupt ext file system: ", what), EIO)
      .with_hint(base::cat("e2fsck -fp ", name(), " may repair it"));
}

void FileSystem::Library::require_writable() const {
  if (!writable) throw base::Error(base::cat(name(), ": cannot be written to"), EROFS);
}

ext2_inode_large FileSystem::Library::read_inode(InodeNumber number) {
  const bool is_usable = number == kRootInode || (number >= EXT2_FIRST_INODE(fs->super) &&
                                                  number <= fs->super->s_inodes_count);
  if (!is_usable) throw damage(base::cat("a name leads to inode ", number));
  ext2_inode_large inode{};
  check(ext2fs_read_inode_full(fs, number, generic(inode), inode_bytes()), name(),
        ": cannot read inode ", number);
  if (inode.i_mode == 0 || (inode.i_links_count == 0 && !is_orphan(number)))
    throw damage(base::cat("inode ", number, " has a name, but is free"));
  return inode;
}

void FileSystem::Library::write_inode(InodeNumber number, ext2_inode_large& inode) {
  check(ext2fs_write_inode_full(fs, number, generic(inode), inode_bytes()), name(),
        ": cannot write inode ", number);
}

void FileSystem::Library::note_blocks(std::uint64_t first, std::uint64_t count, int in_use) {
  if (in_use < 0) transaction.note_freed(first, count);
  if (!in_operation) return;
  const bool continues = !counted.empty() && !counted.back().is_inode &&
                         counted.back().in_use == in_use &&
                         counted.back().number + counted.back().count == first;
  if (continues) {
    counted.back().count += count;
  } else {
    counted.push_back({first, count, in_use, false, false});
  }
}

void FileSystem::Library::count_inode(InodeNumber number, int in_use, bool is_directory) {
  ext2fs_inode_alloc_stats2(fs, number, in_use, is_directory);
  note_inode(number, in_use, is_directory);
}

void FileSystem::Library::note_inode(InodeNumber number, int in_use, bool is_directory) {
  if (in_operation) counted.push_back({number, 1, in_use, true, is_directory});
}

void FileSystem::Library::require_room_for_link(const ext2_inode_large& inode) const {
  const bool is_uncounted = S_ISDIR(inode.i_mode) && ext2fs_has_feature_dir_nlink(fs->super);
  if (inode.i_links_count >= kMaxLinks && !is_uncounted)
    throw base::Error("too many names", EMLINK);
}

void FileSystem::Library::change_links(InodeNumber number, int difference) {
  const ext2_inode_large inode = read_inode(number);
  const bool is_directory = S_ISDIR(inode.i_mode);
  const bool is_uncounted = is_directory && inode.i_links_count == 1;
  const unsigned links = static_cast<unsigned>(inode.i_links_count + difference);
  set_links(number, is_uncounted || (is_directory && links >= kMaxLinks) ? 1 : links);
}

void FileSystem::Library::set_links(InodeNumber number, unsigned count) {
  ext2_inode_large inode = read_inode(number);
  inode.i_links_count = static_cast<std::uint16_t>(count);
  put_changed(inode, current_time());
  write_inode(number, inode);
}

void FileSystem::Library::touch(InodeNumber directory) {
  ext2_inode_large inode = read_inode(directory);
  const Time now = current_time();
  put_time(now, inode.i_mtime, inode.i_mtime_extra, has_extra_times(inode));
  put_changed(inode, now);
  write_inode(directory, inode);
}

void FileSystem::Library::describe(ext2_inode_large& inode, NewInode wanted,
                                   const ext2_inode_large* parent) const {
  if (parent != nullptr && (parent->i_mode & S_ISGID) != 0) {
    wanted.gid = inode_gid(*parent);
    if (S_ISDIR(wanted.mode)) wanted.mode |= S_ISGID;
  }
  inode.i_mode = static_cast<std::uint16_t>(wanted.mode);
  inode.i_uid = static_cast<std::uint16_t>(wanted.uid);
  inode.i_gid = static_cast<std::uint16_t>(wanted.gid);
  ext2fs_set_i_uid_high(inode, static_cast<std::uint16_t>(wanted.uid >> 16));
  ext2fs_set_i_gid_high(inode, static_cast<std::uint16_t>(wanted.gid >> 16));
  if (S_ISCHR(wanted.mode) || S_ISBLK(wanted.mode))
    inode.i_block[wanted.device > UINT16_MAX ? 1 : 0] = wanted.device;
  const Time now = current_time();
  const bool extra = has_extra_times(inode);
  put_time(now, inode.i_atime, inode.i_atime_extra, extra);
  put_time(now, inode.i_mtime, inode.i_mtime_extra, extra);
  put_changed(inode, now);
}

ext2_inode_large FileSystem::Library::blank_inode(const NewInode& wanted,
                                                  const ext2_inode_large* parent) const {
  ext2_inode_large inode{};
  if (EXT2_INODE_SIZE(fs->super) > EXT2_GOOD_OLD_INODE_SIZE)
    inode.i_extra_isize = sizeof inode - EXT2_GOOD_OLD_INODE_SIZE;
  describe(inode, wanted, parent);
  return inode;
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

Attributes FileSystem::attributes(InodeNumber number) {
  const ext2_inode_large inode = library_->read_inode(number);
  Attributes out;
  out.inode = number;
  out.mode = inode.i_mode;
  out.link_count = inode.i_links_count;
  out.generation = inode.i_generation;
  out.uid = inode_uid(inode);
  out.gid = inode_gid(inode);
  if (S_ISCHR(out.mode) || S_ISBLK(out.mode))
    out.device = inode.i_block[0] != 0 ? inode.i_block[0] : inode.i_block[1];
  // Only regular files may be larger than 4 GiB.
  out.size = S_ISREG(out.mode) ? EXT2_I_SIZE(&inode) : inode.i_size;
  out.sectors = ext2fs_get_stat_i_blocks(library_->fs,
                                         library_->generic(const_cast<ext2_inode_large&>(inode)));
  const bool extra = has_extra_times(inode);
  out.accessed = time_of(inode.i_atime, inode.i_atime_extra, extra);
  out.modified = time_of(inode.i_mtime, inode.i_mtime_extra, extra);
  out.changed = time_of(inode.i_ctime, inode.i_ctime_extra, extra);
  return out;
}

Statistics FileSystem::statistics() const {
  ext2_super_block* const super = library_->fs->super;
  return {library_->fs->blocksize, ext2fs_blocks_count(super), ext2fs_free_blocks_count(super),
          super->s_inodes_count, super->s_free_inodes_count};
}

bool FileSystem::has_nanoseconds() const {
  return EXT2_INODE_SIZE(library_->fs->super) > EXT2_GOOD_OLD_INODE_SIZE;
}

void FileSystem::change(InodeNumber number, const AttributeChanges& changes) {
  Library& library = *library_;
  Operation operation(library);
  ext2_inode_large inode = library.read_inode(number);
  if (changes.size) {
    if (!S_ISREG(inode.i_mode)) throw base::Error("only regular files have a size to set", EINVAL);
    library.set_size(number, inode, *changes.size);
    inode = library.read_inode(number);
  }
  if (changes.mode) {
    inode.i_mode =
        static_cast<std::uint16_t>((inode.i_mode & LINUX_S_IFMT) | (*changes.mode & 07777));
  }
  if (changes.uid) {
    inode.i_uid = static_cast<std::uint16_t>(*changes.uid);
    ext2fs_set_i_uid_high(inode, static_cast<std::uint16_t>(*changes.uid >> 16));
  }
  if (changes.gid) {
    inode.i_gid = static_cast<std::uint16_t>(*changes.gid);
    ext2fs_set_i_gid_high(inode, static_cast<std::uint16_t>(*changes.gid >> 16));
  }
  const bool extra = has_extra_times(inode);
  if (changes.accessed) put_time(*changes.accessed, inode.i_atime, inode.i_atime_extra, extra);
  if (changes.modified) {
    put_time(*changes.modified, inode.i_mtime, inode.i_mtime_extra, extra);
  } else if (changes.size) {
    put_time(current_time(), inode.i_mtime, inode.i_mtime_extra, extra);
  }
  put_changed(inode, changes.changed.value_or(current_time()));
  library.write_inode(number, inode);
  operation.finish();
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

void FileSystem::begin_private_changes() {
  Library& library = *library_;
  if (library.writable) return;
  if (library.failure) throw *library.failure;
  check(ext2fs_read_bitmaps(library.fs), library.name(), ": cannot read its bitmaps");
  library.fs->flags |= EXT2_FLAG_RW;
  library.transaction.keep_all();
  library.writable = library.is_private = true;
}

void FileSystem::prepare_for_changes() {
  Library& library = *library_;
  refuse_counted_features(library.name(), *library.fs->super);
  refuse_unsound(library.name(), *library.fs->super);
  check(ext2fs_read_bitmaps(library.fs), library.name(), ": cannot read its bitmaps");
  ext2fs_set_block_alloc_stats_callback(library.fs, note_allocation, nullptr);
  ext2fs_set_block_alloc_stats_range_callback(library.fs, note_allocations, nullptr);
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
