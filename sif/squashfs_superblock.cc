// SPDX-License-Identifier: Apache-2.0
#include "sif/squashfs_superblock.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/bytes.h"

namespace sif {
namespace {

constexpr std::uint16_t kFlagNoXattrs = 0x0200;
constexpr std::uint32_t kIdsPerBlock = kMetadataBlockSize / sizeof(std::uint32_t);

void check_tables(const ImageBytes& image, Superblock& super) {
  const auto check = [&](std::string_view name, std::uint64_t position, std::uint64_t from) {
    if (position < from || position >= super.bytes_used) {
      throw image.corrupt(name, " at offset ", position, ", allowed are ", from, " to ",
                          super.bytes_used - 1);
    }
    super.directory_end = std::min(super.directory_end, position);
  };
  check("inode table", super.inode_table, kSuperblockSize);
  check("directory table", super.directory_table, super.inode_table + 1);
  super.directory_end = super.bytes_used;
  check("id table", super.id_table, super.directory_table);
  if (super.fragment_count > 0)
    check("fragment table", super.fragment_table, super.directory_table);
  if (super.xattr_table != kNoTable) check("xattr table", super.xattr_table, super.directory_table);
}

void check_geometry(const ImageBytes& image, const Superblock& super, std::uint16_t block_log) {
  if (super.block_size < kMinBlockSize || super.block_size > kMaxBlockSize ||
      !std::has_single_bit(super.block_size) ||
      std::countr_zero(super.block_size) != static_cast<int>(block_log)) {
    throw image.corrupt("block size ", super.block_size, " with logarithm ", block_log,
                        ", allowed are powers of two from ", kMinBlockSize, " to ", kMaxBlockSize);
  }
  if (super.codec < Codec::gzip || super.codec > Codec::zstd) {
    throw image.corrupt("compression ", static_cast<std::uint16_t>(super.codec),
                        ", allowed are 1 to 6");
  }
  if (super.id_count == 0) throw image.corrupt("no owner ids");
  if (super.bytes_used < kSuperblockSize) {
    throw image.corrupt("size ", super.bytes_used, " in the superblock, which alone has ",
                        kSuperblockSize);
  }
  if (super.bytes_used > image.size()) {
    throw base::Error(
        base::cat(base::printable(image.name()), " is truncated: its file system needs ",
                  super.bytes_used, " bytes, but ", image.size(), " are there"),
        EIO)
        .with_hint("copy or build the image again");
  }
}

}  // namespace

Superblock read_superblock(const ImageBytes& image) {
  std::array<std::byte, kSuperblockSize> raw{};
  image.read(0, raw, "superblock");
  base::ByteReader fields(raw, "squashfs superblock");
  const auto magic = fields.read<std::uint32_t>();
  if (magic != kSquashfsMagic) throw image.corrupt("magic number ", magic, " in the superblock");
  Superblock super;
  super.inode_count = fields.read<std::uint32_t>();
  fields.skip(sizeof(std::uint32_t));  // when it was made
  super.block_size = fields.read<std::uint32_t>();
  super.fragment_count = fields.read<std::uint32_t>();
  super.codec = static_cast<Codec>(fields.read<std::uint16_t>());
  const auto block_log = fields.read<std::uint16_t>();
  super.flags = fields.read<std::uint16_t>();
  super.id_count = fields.read<std::uint16_t>();
  const auto major = fields.read<std::uint16_t>();
  const auto minor = fields.read<std::uint16_t>();
  if (major != 4 || minor != 0)
    throw image.corrupt("format version ", major, ".", minor, ", only 4.0 is supported");
  super.root_inode = fields.read<std::uint64_t>();
  super.bytes_used = fields.read<std::uint64_t>();
  super.id_table = fields.read<std::uint64_t>();
  super.xattr_table = fields.read<std::uint64_t>();
  super.inode_table = fields.read<std::uint64_t>();
  super.directory_table = fields.read<std::uint64_t>();
  super.fragment_table = fields.read<std::uint64_t>();
  if ((super.flags & kFlagNoXattrs) != 0) super.xattr_table = kNoTable;

  check_geometry(image, super, block_log);
  check_tables(image, super);
  return super;
}

std::vector<std::uint64_t> read_table_index(const ImageBytes& image, std::uint64_t index_position,
                                            std::uint64_t entry_count, std::uint32_t entry_size,
                                            std::string_view structure) {
  const std::uint64_t blocks =
      (entry_count * entry_size + kMetadataBlockSize - 1) / kMetadataBlockSize;
  // Every block position takes 8 bytes of the image, so the image's size bounds the allocation.
  if (index_position > image.size() || blocks > (image.size() - index_position) / 8) {
    throw image.corrupt(structure, " of ", entry_count, " entries at offset ", index_position,
                        " does not fit into ", image.size(), " bytes");
  }
  std::vector<std::byte> raw(blocks * 8);
  image.read(index_position, raw, structure);
  base::ByteReader fields(raw, structure);
  std::vector<std::uint64_t> index(blocks);
  for (std::uint64_t& position : index) {
    position = fields.read<std::uint64_t>();
    if (position >= index_position) {
      throw image.corrupt(structure, ": block at offset ", position, " behind its index at ",
                          index_position);
    }
  }
  return index;
}

std::vector<std::uint32_t> read_id_table(const MetadataCache& metadata, const Superblock& super) {
  const std::vector<std::uint64_t> index = read_table_index(
      metadata.image(), super.id_table, super.id_count, sizeof(std::uint32_t), "id table");
  std::vector<std::uint32_t> ids(super.id_count);
  for (std::size_t i = 0; i < index.size(); ++i) {
    MetadataCursor cursor(metadata, {index[i], 0}, super.id_table, "id table");
    const std::size_t end = std::min<std::size_t>(ids.size(), (i + 1) * kIdsPerBlock);
    for (std::size_t id = i * kIdsPerBlock; id < end; ++id) ids[id] = cursor.read<std::uint32_t>();
  }
  return ids;
}

}  // namespace sif
