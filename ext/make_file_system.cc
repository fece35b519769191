// SPDX-License-Identifier: Apache-2.0
#include "ext/make_file_system.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "ext/ext2fs_adapter.h"

namespace ext {
namespace {

// The values of mke2fs and its mke2fs.conf.
constexpr std::uint64_t kMebibyte = 1 << 20, kTebibyte = std::uint64_t{1} << 40;
constexpr int kInodeSize = 256;
constexpr std::uint64_t kReservedShare = 20;  // one block of so many is root's
constexpr std::uint32_t kCompatible = EXT2_FEATURE_COMPAT_EXT_ATTR |
                                      EXT2_FEATURE_COMPAT_RESIZE_INODE |
                                      EXT2_FEATURE_COMPAT_DIR_INDEX;  // the journal adds its own
constexpr std::uint32_t kIncompatible = EXT2_FEATURE_INCOMPAT_FILETYPE;
constexpr std::uint32_t kReadOnlyCompatible =
    EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER | EXT2_FEATURE_RO_COMPAT_LARGE_FILE;
constexpr std::uint32_t kLostAndFoundSize = 16 << 10;

struct SizeRow {
  std::uint64_t below;  // bytes
  unsigned log_block_size;
  std::uint64_t bytes_per_inode;
};
constexpr auto kSizes = std::to_array<SizeRow>({
    {3 * kMebibyte, 0, 8192},
    {512 * kMebibyte, 0, 4096},
    {4 * kTebibyte, 2, 16384},
    {std::numeric_limits<std::uint64_t>::max(), 2, 32768},
});

// libext2fs writes the same blocks again for each block that it places, and zeros where they are
// already: pages are kept until there are many, and those that stay zero are not written.
class NewPartition : public BlockDevice {
 public:
  explicit NewPartition(const Partition& partition) : partition_(partition) {}

  void set_block_size(std::size_t size) override { block_size_ = size; }
  void read_blocks(std::uint64_t first, std::span<std::byte> out) override {
    for_pages(first * block_size_, out.size(), [&](std::span<std::byte> page) {
      std::ranges::copy(page, out.begin());
      out = out.subspan(page.size());
    });
  }
  void write_blocks(std::uint64_t first, std::span<const std::byte> data) override {
    write_bytes(first * block_size_, data);
  }
  void write_bytes(std::uint64_t at, std::span<const std::byte> data) override {
    if (is_zero(data) && is_untouched(at, data.size())) return;
    for_pages(at, data.size(), [&](std::span<std::byte> page) {
      std::ranges::copy(data.first(page.size()), page.begin());
      data = data.subspan(page.size());
    });
  }
  void zero_blocks(std::uint64_t first, std::uint64_t count) override {
    if (is_untouched(first * block_size_, count * block_size_)) return;
    for_pages(first * block_size_, count * block_size_,
              [](std::span<std::byte> page) { std::ranges::fill(page, std::byte{0}); });
  }
  void flush() override {
    for (const auto& [number, page] : pages_) {
      const std::uint64_t at = number * kPageSize;
      if (!written_.contains(number) && page == Page{}) continue;
      written_.insert(number);
      partition_.write(at, std::span(page).first(std::min(kPageSize, partition_.size() - at)));
    }
    pages_.clear();
  }

 private:
  static constexpr std::uint64_t kPageSize = 4096;
  static constexpr std::size_t kMaxPages = 4096;
  using Page = std::array<std::byte, kPageSize>;

  static bool is_zero(std::span<const std::byte> data) {
    return data.empty() || (data.front() == std::byte{0} &&
                            std::memcmp(data.data(), data.data() + 1, data.size() - 1) == 0);
  }
  bool is_untouched(std::uint64_t at, std::uint64_t size) const {
    for (std::uint64_t number = at / kPageSize; number * kPageSize < at + size; ++number)
      if (pages_.contains(number) || written_.contains(number)) return false;
    return true;
  }
  // What was never written is zero.
  Page& find_page(std::uint64_t number) {
    if (const auto found = pages_.find(number); found != pages_.end()) return found->second;
    if (pages_.size() >= kMaxPages) flush();
    Page& page = pages_[number];
    const std::uint64_t at = number * kPageSize;
    if (written_.contains(number))
      partition_.read(at, std::span(page).first(std::min(kPageSize, partition_.size() - at)));
    return page;
  }
  template <typename Action>
  void for_pages(std::uint64_t at, std::uint64_t size, const Action& action) {
    if (at > partition_.size() || size > partition_.size() - at)
      throw base::Error(base::cat(partition_.name(), ": no room for ", size, " bytes at ", at),
                        EIO);
    while (size > 0) {
      const std::uint64_t start = at % kPageSize, count = std::min(size, kPageSize - start);
      action(std::span(find_page(at / kPageSize)).subspan(start, count));
      at += count;
      size -= count;
    }
  }

  const Partition& partition_;
  std::size_t block_size_ = 1024;
  std::map<std::uint64_t, Page> pages_;  // in the order of writing
  std::unordered_set<std::uint64_t> written_;
};

struct FreeHandle {
  void operator()(ext2_filsys fs) const { ::ext2fs_free(fs); }
};
using Handle = std::unique_ptr<struct_ext2_filsys, FreeHandle>;

Handle open_new(const Partition& partition, NewPartition& device) {
  const SizeRow& row = *std::ranges::find_if(
      kSizes, [&](const SizeRow& each) { return partition.size() < each.below; });
  struct ext2_super_block wanted {};
  wanted.s_rev_level = EXT2_DYNAMIC_REV;
  wanted.s_log_block_size = row.log_block_size;
  wanted.s_inode_size = kInodeSize;
  wanted.s_feature_compat = kCompatible;
  wanted.s_feature_incompat = kIncompatible;
  wanted.s_feature_ro_compat = kReadOnlyCompatible;
  const std::uint64_t blocks = partition.size() / EXT2_BLOCK_SIZE(&wanted);
  ::ext2fs_blocks_count_set(&wanted, blocks);
  ::ext2fs_r_blocks_count_set(&wanted, blocks / kReservedShare);
  wanted.s_inodes_count = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(blocks * EXT2_BLOCK_SIZE(&wanted) / row.bytes_per_inode,
                              std::numeric_limits<std::uint32_t>::max()));
  ext2_filsys fs = nullptr;
  check(::ext2fs_initialize(name_of(device).c_str(), EXT2_FLAG_64BITS, &wanted, device_manager(),
                            &fs),
        "cannot make a file system of ", base::human_size(partition.size()));
  return Handle(fs);
}

void describe(struct ext2_super_block& super, const NewFileSystem& wanted) {
  std::ranges::copy(wanted.uuid, super.s_uuid);
  std::memcpy(super.s_hash_seed, wanted.hash_seed.data(), sizeof super.s_hash_seed);
  super.s_def_hash_version = EXT2_HASH_HALF_MD4;
  super.s_flags |= std::is_signed_v<char> ? EXT2_FLAGS_SIGNED_HASH : EXT2_FLAGS_UNSIGNED_HASH;
  super.s_default_mount_opts = EXT2_DEFM_XATTR_USER | EXT2_DEFM_ACL;
  super.s_max_mnt_count = -1;
  super.s_checkinterval = 0;
  super.s_mkfs_time = super.s_lastcheck = static_cast<std::uint32_t>(wanted.created);
}

void reserve_inodes(ext2_filsys fs) {
  ::ext2fs_inode_alloc_stats2(fs, EXT2_BAD_INO, +1, 0);
  for (ext2_ino_t inode = EXT2_ROOT_INO + 1; inode < EXT2_FIRST_INODE(fs->super); ++inode)
    ::ext2fs_inode_alloc_stats2(fs, inode, +1, 0);
  check(::ext2fs_update_bb_inode(fs, nullptr), "cannot write the inode of bad blocks");
}

ext2_ino_t make_folder(ext2_filsys fs, ext2_ino_t parent, const std::string& name) {
  ext2_ino_t made = 0;
  check(::ext2fs_new_inode(fs, parent, LINUX_S_IFDIR | 0755, nullptr, &made),
        "cannot make the folder ", base::printable(name));
  errcode_t code = ::ext2fs_mkdir(fs, parent, made, name.c_str());
  if (code == EXT2_ET_DIR_NO_SPACE) {
    check(::ext2fs_expand_dir(fs, parent), "cannot make the folder ", base::printable(name));
    code = ::ext2fs_mkdir(fs, parent, made, name.c_str());
  }
  check(code, "cannot make the folder ", base::printable(name));
  return made;
}

template <typename Change>
void change_inode(ext2_filsys fs, ext2_ino_t number, const Change& change) {
  struct ext2_inode inode {};
  check(::ext2fs_read_inode(fs, number, &inode), "cannot read inode ", number);
  change(inode);
  check(::ext2fs_write_inode(fs, number, &inode), "cannot write inode ", number);
}

// Its blocks are there before they are needed.
void make_lost_and_found(ext2_filsys fs) {
  const ext2_ino_t made = make_folder(fs, EXT2_ROOT_INO, "lost+found");
  for (unsigned blocks = 1;
       blocks < EXT2_NDIR_BLOCKS &&
       blocks * fs->blocksize < std::max<std::uint32_t>(kLostAndFoundSize, 2 * fs->blocksize);
       ++blocks)
    check(::ext2fs_expand_dir(fs, made), "cannot make lost+found");
  change_inode(fs, made, [](struct ext2_inode& inode) { inode.i_mode = LINUX_S_IFDIR | 0700; });
}

// Its blocks are zero already.
void make_journal(ext2_filsys fs) {
  const int blocks = ::ext2fs_default_journal_size(::ext2fs_blocks_count(fs->super));
  if (blocks <= 0)
    throw base::Error("cannot make a file system: it is too small for a journal", ENOSPC);
  check(::ext2fs_add_journal_inode2(fs, static_cast<blk_t>(blocks), ~0ULL,
                                    EXT2_MKJOURNAL_NO_MNT_CHECK | EXT2_MKJOURNAL_LAZYINIT),
        "cannot make the journal");
}

// What can never hold files; statfs(2) tells what is left.
std::uint32_t overhead(ext2_filsys fs) {
  std::uint64_t blocks = fs->super->s_first_data_block;
  for (dgrp_t group = 0; group < fs->group_desc_count; ++group) {
    blk_t used = 0;
    check(::ext2fs_super_and_bgd_loc2(fs, group, nullptr, nullptr, nullptr, &used),
          "cannot find the tables of group ", group);
    blocks += used + 2 + fs->inode_blocks_per_group;
  }
  return static_cast<std::uint32_t>(
      blocks +
      static_cast<std::uint64_t>(::ext2fs_default_journal_size(::ext2fs_blocks_count(fs->super))));
}

void make_path(ext2_filsys fs, const std::string& path, const NewFileSystem& wanted) {
  ext2_ino_t folder = EXT2_ROOT_INO;
  for (const std::string& name : base::split(path, '/')) {
    if (name.size() > EXT2_NAME_LEN) {
      throw base::errno_error(ENAMETOOLONG, "cannot make the folder ", base::printable(path));
    }
    ext2_ino_t next = 0;
    const errcode_t code =
        ::ext2fs_lookup(fs, folder, name.data(), static_cast<int>(name.size()), nullptr, &next);
    if (code == EXT2_ET_FILE_NOT_FOUND) {
      next = make_folder(fs, folder, name);
      change_inode(fs, next, [&](struct ext2_inode& inode) {
        inode.i_uid = static_cast<std::uint16_t>(wanted.uid);
        inode.i_gid = static_cast<std::uint16_t>(wanted.gid);
        ext2fs_set_i_uid_high(inode, static_cast<std::uint16_t>(wanted.uid >> 16));
        ext2fs_set_i_gid_high(inode, static_cast<std::uint16_t>(wanted.gid >> 16));
      });
    } else {
      check(code, "cannot make the folder ", base::printable(path));
    }
    folder = next;
  }
}

void close_file_system(Handle fs) {
  ext2_filsys raw = fs.release();
  check(::ext2fs_close_free(&raw), "cannot write the file system");
}

}  // namespace

void make_file_system(const Partition& partition, const NewFileSystem& wanted) {
  if (partition.size() > kMaxFileSystemSize)
    throw base::Error(
        base::cat("cannot make a file system of ", base::human_size(partition.size()), ": at most ",
                  base::human_size(kMaxFileSystemSize), " are possible"),
        EFBIG);
  ::initialize_ext2_error_table();
  NewPartition device(partition);
  Handle fs = open_new(partition, device);
  fs->now = static_cast<time_t>(wanted.created);
  describe(*fs->super, wanted);
  check(::ext2fs_allocate_tables(fs.get()), "cannot place the tables of the file system");
  check(::ext2fs_mkdir(fs.get(), EXT2_ROOT_INO, EXT2_ROOT_INO, nullptr),
        "cannot make the root of the file system");
  make_lost_and_found(fs.get());
  reserve_inodes(fs.get());
  check(::ext2fs_create_resize_inode(fs.get()), "cannot make the resize inode");
  make_journal(fs.get());
  fs->super->s_overhead_clusters = overhead(fs.get());
  for (const std::string& path : wanted.folders) make_path(fs.get(), path, wanted);
  close_file_system(std::move(fs));
}

}  // namespace ext
