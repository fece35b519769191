// SPDX-License-Identifier: Apache-2.0
#include "ext/superblock_check.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <span>

#include "base/bytes.h"

namespace ext {
namespace {

constexpr std::uint64_t kSuperblockOffset = 1024;
constexpr std::size_t kSuperblockBytes = 1024;
constexpr std::size_t kSuperblockMagicOffset = 56;
constexpr std::uint64_t kMaxGroups = 1 << 17;  // 16 TiB in groups of the usual size

base::Error unknown_feature(const std::string& name, const char* feature) {
  return base::error(name, ": ext file systems with the feature ", feature, " are not supported")
      .with_hint("make one with: sifrun overlay create FILE, or mkfs.ext3 FILE");
}

}  // namespace

void check_superblock(Transaction& transaction) {
  const Partition& partition = transaction.partition();
  std::array<std::byte, kSuperblockBytes> bytes;
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
  check("the magic number", small(kSuperblockMagicOffset), EXT2_SUPER_MAGIC, EXT2_SUPER_MAGIC);
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

void refuse_unknown_features(const std::string& name, ext2_super_block& super) {
  const char* const feature = ext2fs_has_feature_inline_data(&super)   ? "inline_data"
                              : ext2fs_has_feature_encrypt(&super)     ? "encrypt"
                              : ext2fs_has_feature_casefold(&super)    ? "casefold"
                              : ext2fs_has_feature_journal_dev(&super) ? "journal_dev"
                              : ext2fs_has_feature_dirdata(&super)     ? "dirdata"
                                                                       : nullptr;
  if (feature != nullptr) throw unknown_feature(name, feature);
}

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

}  // namespace ext
