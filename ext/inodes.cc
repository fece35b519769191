// SPDX-License-Identifier: Apache-2.0
// Inodes: what is told of them, and what changes in them.
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "ext/library.h"
#include "ext/operation.h"

namespace ext {
namespace {

constexpr unsigned kMaxLinks = 65000;  // EXT4_LINK_MAX of the kernel

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

int FileSystem::Library::inode_bytes() const {
  return std::min<int>(EXT2_INODE_SIZE(fs->super), sizeof(ext2_inode_large));
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

void FileSystem::Library::mark_changed(InodeNumber number) {
  ext2_inode_large inode = read_inode(number);
  put_changed(inode, current_time());
  write_inode(number, inode);
}

void FileSystem::Library::mark_modified(ext2_inode_large& inode) {
  const Time now = current_time();
  put_time(now, inode.i_mtime, inode.i_mtime_extra, has_extra_times(inode));
  put_changed(inode, now);
}

void FileSystem::Library::touch(InodeNumber directory) {
  ext2_inode_large inode = read_inode(directory);
  mark_modified(inode);
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

Attributes FileSystem::attributes(InodeNumber number) {
  ext2_inode_large inode = library_->read_inode(number);
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
  out.sectors = ext2fs_get_stat_i_blocks(library_->fs, library_->generic(inode));
  const bool extra = has_extra_times(inode);
  out.accessed = time_of(inode.i_atime, inode.i_atime_extra, extra);
  out.modified = time_of(inode.i_mtime, inode.i_mtime_extra, extra);
  out.changed = time_of(inode.i_ctime, inode.i_ctime_extra, extra);
  return out;
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

}  // namespace ext
