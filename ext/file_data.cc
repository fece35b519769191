// SPDX-License-Identifier: Apache-2.0
// Contents of files, which lie in blocks all over the file system.
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "ext/library.h"
#include "ext/operation.h"

namespace ext {
namespace {

// Blocks of a file that lie behind each other: their place, or none.
struct Run {
  std::uint64_t at = 0;  // position in bytes
  std::size_t size = 0;
  bool is_hole = false;
};

// Those that extents count in 32 bits, or that three levels of blocks of 32-bit numbers lead to.
std::uint64_t max_blocks(const ext2_inode_large& inode, std::uint64_t block_size) {
  if ((inode.i_flags & EXT4_EXTENTS_FL) != 0) return UINT32_MAX;
  const std::uint64_t numbers = block_size / sizeof(std::uint32_t);
  return EXT2_NDIR_BLOCKS + numbers * (1 + numbers * (1 + numbers));
}

}  // namespace

std::uint64_t FileSystem::Library::find_block(InodeNumber number, ext2_inode_large& inode,
                                              std::uint64_t block) {
  int state = 0;
  blk64_t physical = 0;
  check(ext2fs_bmap2(fs, number, generic(inode), nullptr, 0, block, &state, &physical), name(),
        ": cannot find block ", block, " of inode ", number);
  if (physical >= ext2fs_blocks_count(fs->super))
    throw damage(base::cat("inode ", number, " has block ", physical));
  return (state & BMAP_RET_UNINIT) != 0 ? 0 : physical;
}

std::uint64_t FileSystem::Library::make_block(InodeNumber number, ext2_inode_large& inode,
                                              std::uint64_t block, bool& is_new) {
  const std::uint64_t present = find_block(number, inode, block);
  is_new = present == 0;
  if (!is_new) return present;
  blk64_t physical = 0;  // not 0: reserved and never written
  check(ext2fs_bmap2(fs, number, generic(inode), nullptr, 0, block, nullptr, &physical), name(),
        ": cannot find block ", block, " of inode ", number);
  const int how = physical != 0 ? BMAP_SET : BMAP_ALLOC;
  check(ext2fs_bmap2(fs, number, generic(inode), nullptr, how, block, nullptr, &physical), name(),
        ": cannot make block ", block, " of inode ", number);
  return physical;
}

void FileSystem::Library::check_extents(InodeNumber number, ext2_inode_large& inode) {
  const std::uint64_t count = ext2fs_blocks_count(fs->super);
  ext2_extent_handle_t opened = nullptr;
  check(ext2fs_extent_open2(fs, number, generic(inode), &opened), name(),
        ": cannot read the extents of inode ", number);
  const std::unique_ptr<ext2_extent_handle, void (*)(ext2_extent_handle_t)> handle(
      opened, ext2fs_extent_free);
  ext2fs_extent extent{};
  errcode_t code = ext2fs_extent_get(opened, EXT2_EXTENT_ROOT, &extent);
  for (std::uint64_t passed = 0; code == 0; ++passed) {
    const std::uint64_t length = (extent.e_flags & EXT2_EXTENT_FLAGS_LEAF) != 0 ? extent.e_len : 1;
    if (extent.e_pblk >= count || length > count - extent.e_pblk || passed > 2 * count)
      throw damage(base::cat("inode ", number, " has block ", extent.e_pblk));
    code = ext2fs_extent_get(opened, EXT2_EXTENT_NEXT, &extent);
  }
  if (code != EXT2_ET_EXTENT_NO_NEXT && code != EXT2_ET_NO_CURRENT_NODE)
    check(code, name(), ": cannot read the extents of inode ", number);
}

// libext2fs 1.47 takes an extent that ends with the file system for one that reaches beyond it.
void FileSystem::Library::free_blocks_from(InodeNumber number, std::uint64_t block) {
  ext2_inode_large inode = read_inode(number);
  const bool has_extents = (inode.i_flags & EXT4_EXTENTS_FL) != 0;
  const std::uint64_t count = ext2fs_blocks_count(fs->super);
  if (has_extents) check_extents(number, inode);
  if (has_extents) ext2fs_blocks_count_set(fs->super, count + 1);
  const errcode_t code = ext2fs_punch(fs, number, nullptr, nullptr, block, ~blk64_t{0});
  ext2fs_blocks_count_set(fs->super, count);
  check(code, name(), ": cannot free blocks of inode ", number);
}

// What lies behind the end is zero when the file grows again.
void FileSystem::Library::set_size(InodeNumber number, ext2_inode_large& inode,
                                   std::uint64_t size) {
  const std::uint64_t block_size = fs->blocksize;
  const std::uint64_t within = size % block_size;
  if (size > max_blocks(inode, block_size) * block_size)
    throw base::Error("a file cannot be that large", EFBIG);
  if (size <= EXT2_I_SIZE(&inode)) {
    free_blocks_from(number, (size + block_size - 1) / block_size);
    inode = read_inode(number);
    const std::uint64_t last = within == 0 ? 0 : find_block(number, inode, size / block_size);
    if (last != 0) {
      const std::vector<std::byte> zeros(static_cast<std::size_t>(block_size - within));
      transaction.write_data(last * block_size + within, zeros);
    }
  }
  check(ext2fs_inode_size_set(fs, generic(inode), size), name(), ": cannot set the size of inode ",
        number);
  write_inode(number, inode);
}

std::size_t FileSystem::read(InodeNumber number, std::uint64_t offset, std::span<std::byte> out) {
  Library& library = *library_;
  ext2_inode_large inode = library.read_inode(number);
  if (!S_ISREG(inode.i_mode) && !S_ISLNK(inode.i_mode))
    throw base::Error("contents of what is no file", S_ISDIR(inode.i_mode) ? EISDIR : EINVAL);
  const std::uint64_t size = EXT2_I_SIZE(&inode);
  if (offset >= size) return 0;
  out = out.first(static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size - offset)));
  const std::size_t block_size = library.fs->blocksize;
  Run run;
  std::size_t done = 0;
  const auto read_run = [&] {
    const std::span<std::byte> piece = out.subspan(done, run.size);
    if (run.is_hole) {
      std::ranges::fill(piece, std::byte{0});
    } else {
      library.transaction.read_data(run.at, piece);
    }
    done += run.size;
    run = {};
  };
  while (done + run.size < out.size()) {
    const std::uint64_t at = offset + done + run.size;
    const std::size_t within = static_cast<std::size_t>(at % block_size);
    const std::size_t count = std::min(block_size - within, out.size() - done - run.size);
    const std::uint64_t physical = library.find_block(number, inode, at / block_size);
    const std::uint64_t position = physical * block_size + within;
    const bool continues =
        run.is_hole ? physical == 0 : physical != 0 && position == run.at + run.size;
    if (run.size > 0 && !continues) read_run();
    if (run.size == 0) run = {position, 0, physical == 0};
    run.size += count;
  }
  if (run.size > 0) read_run();
  return done;
}

void FileSystem::write(InodeNumber number, std::uint64_t offset, std::span<const std::byte> data) {
  Library& library = *library_;
  Operation operation(library);
  ext2_inode_large inode = library.read_inode(number);
  if (!S_ISREG(inode.i_mode)) throw base::Error("contents of what is no file", EINVAL);
  write_blocks(number, inode, offset, data);
  inode = library.read_inode(number);
  if (offset + data.size() > EXT2_I_SIZE(&inode))
    check(ext2fs_inode_size_set(library.fs, library.generic(inode), offset + data.size()),
          library.name(), ": cannot set the size of inode ", number);
  Library::mark_modified(inode);
  library.write_inode(number, inode);
  operation.finish();
}

void FileSystem::write_blocks(InodeNumber number, ext2_inode_large& inode, std::uint64_t offset,
                              std::span<const std::byte> data) {
  Library& library = *library_;
  const std::size_t block_size = library.fs->blocksize;
  std::uint64_t run_at = 0;
  std::span<const std::byte> run;
  while (!data.empty()) {
    const std::size_t within = static_cast<std::size_t>(offset % block_size);
    const std::size_t count = std::min(block_size - within, data.size());
    bool is_new = false;
    const std::uint64_t physical = library.make_block(number, inode, offset / block_size, is_new);
    if (is_new && count < block_size) {
      const std::vector<std::byte> zeros(block_size);
      library.transaction.write_data(physical * block_size, zeros);
    }
    const std::uint64_t position = physical * block_size + within;
    if (!run.empty() && position == run_at + run.size()) {
      run = {run.data(), run.size() + count};
    } else {
      if (!run.empty()) library.transaction.write_data(run_at, run);
      run_at = position;
      run = data.first(count);
    }
    offset += count;
    data = data.subspan(count);
  }
  if (!run.empty()) library.transaction.write_data(run_at, run);
}

}  // namespace ext
