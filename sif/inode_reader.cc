// SPDX-License-Identifier: Apache-2.0
#include "sif/inode_reader.h"

namespace sif {
namespace {

// 1-7; 8-14 are the extended forms in the same order
constexpr std::uint16_t kBasicTypes = kFileTypes.size();
constexpr std::uint32_t kListingSurplus = 3;  // directory sizes count "." and ".."

void read_directory(const ImageTables& tables, MetadataCursor& in, bool extended,
                    InodeRecord& inode) {
  std::uint32_t start_block = 0;
  std::uint32_t size = 0;
  std::uint16_t offset = 0;
  if (extended) {
    inode.attributes.link_count = in.read<std::uint32_t>();
    size = in.read<std::uint32_t>();
    start_block = in.read<std::uint32_t>();
    inode.attributes.parent_inode_number = in.read<std::uint32_t>();
    inode.index_count = in.read<std::uint16_t>();
    offset = in.read<std::uint16_t>();
    inode.attributes.xattr_index = in.read<std::uint32_t>();
  } else {
    start_block = in.read<std::uint32_t>();
    inode.attributes.link_count = in.read<std::uint32_t>();
    size = in.read<std::uint16_t>();
    offset = in.read<std::uint16_t>();
    inode.attributes.parent_inode_number = in.read<std::uint32_t>();
  }
  inode.attributes.size = size;
  inode.listing = {tables.super.directory_table + start_block, offset};
  inode.listing_size = size > kListingSurplus ? size - kListingSurplus : 0;
}

void read_regular(MetadataCursor& in, bool extended, InodeRecord& inode) {
  std::uint64_t sparse = 0;
  if (extended) {
    inode.data_position = in.read<std::uint64_t>();
    inode.attributes.size = in.read<std::uint64_t>();
    sparse = in.read<std::uint64_t>();
    inode.attributes.link_count = in.read<std::uint32_t>();
    inode.fragment = in.read<std::uint32_t>();
    inode.fragment_offset = in.read<std::uint32_t>();
    inode.attributes.xattr_index = in.read<std::uint32_t>();
  } else {
    inode.data_position = in.read<std::uint32_t>();
    inode.fragment = in.read<std::uint32_t>();
    inode.fragment_offset = in.read<std::uint32_t>();
    inode.attributes.size = in.read<std::uint32_t>();
  }
  // Writers disagree by a partial block on what a hole at the end counts.
  inode.attributes.allocated_size = inode.attributes.size - std::min(sparse, inode.attributes.size);
}

void read_symlink(MetadataCursor& in, bool extended, InodeRecord& inode) {
  inode.attributes.link_count = in.read<std::uint32_t>();
  inode.attributes.size = in.read<std::uint32_t>();
  inode.tail = in.position();
  if (!extended || inode.attributes.size > kMaxSymlinkTarget) return;
  in.skip(inode.attributes.size);
  inode.attributes.xattr_index = in.read<std::uint32_t>();
}

void read_device(MetadataCursor& in, bool is_device, bool extended, InodeRecord& inode) {
  inode.attributes.link_count = in.read<std::uint32_t>();
  if (is_device) {
    // The kernel's new_encode_dev: 12 bits major between 8 low and 12 high bits of the minor.
    const auto device = in.read<std::uint32_t>();
    inode.attributes.device_major = (device >> 8) & 0xFFF;
    inode.attributes.device_minor = (device & 0xFF) | ((device >> 12) & 0xFFF00);
  }
  if (extended) inode.attributes.xattr_index = in.read<std::uint32_t>();
}

void skip_directory_index(MetadataCursor& in, std::uint16_t count) {
  for (; count > 0; --count) {
    in.skip(8);  // positions
    in.skip(std::uint64_t{in.read<std::uint32_t>()} + 1);
  }
}

}  // namespace

std::uint64_t block_count(const ImageTables& tables, const InodeRecord& file) {
  const std::uint64_t size = file.attributes.size, block_size = tables.super.block_size;
  const bool has_short_block = file.fragment == kNoFragment && size % block_size != 0;
  return size / block_size + (has_short_block ? 1 : 0);
}

std::optional<InodeRef> next_inode(const ImageTables& tables, const InodeRecord& inode) {
  MetadataCursor in = inode_table_cursor(tables, inode.tail);
  if (inode.attributes.type == FileType::regular)
    in.skip(block_count(tables, inode) * sizeof(std::uint32_t));
  if (inode.attributes.type == FileType::symlink)
    in.skip(inode.attributes.size + (inode.is_extended ? sizeof(std::uint32_t) : 0));
  skip_directory_index(in, inode.index_count);
  const MetadataPosition next = in.next_position();
  if (next.block >= tables.super.directory_table) return std::nullopt;
  return (next.block - tables.super.inode_table) << 16 | next.offset;
}

MetadataCursor inode_table_cursor(const ImageTables& tables, MetadataPosition position) {
  return {tables.metadata, position, tables.super.directory_table, "inode table"};
}

InodeRecord read_inode(const ImageTables& tables, InodeRef ref) {
  const std::uint64_t block = ref >> 16;
  const auto offset = static_cast<std::uint32_t>(ref & 0xFFFF);
  if (block >= tables.super.directory_table - tables.super.inode_table) {
    throw tables.image.corrupt("inode reference ", ref, " beyond the inode table of ",
                               tables.super.directory_table - tables.super.inode_table, " bytes");
  }
  MetadataCursor in = inode_table_cursor(tables, {tables.super.inode_table + block, offset});

  InodeRecord inode;
  inode.attributes.ref = ref;
  const auto raw_type = in.read<std::uint16_t>();
  if (raw_type == 0 || raw_type > 2 * kBasicTypes) {
    throw tables.image.corrupt("inode at ", ref, " has type ", raw_type, ", allowed are 1 to ",
                               2 * kBasicTypes);
  }
  const bool extended = inode.is_extended = raw_type > kBasicTypes;
  const FileType type = kFileTypes[(raw_type - 1) % kBasicTypes];
  inode.attributes.type = type;
  inode.attributes.mode = in.read<std::uint16_t>() & 07777;
  const auto uid_index = in.read<std::uint16_t>();
  const auto gid_index = in.read<std::uint16_t>();
  if (uid_index >= tables.ids.size() || gid_index >= tables.ids.size()) {
    throw tables.image.corrupt("inode at ", ref, " has the owners ", uid_index, " and ", gid_index,
                               ", but the id table has ", tables.ids.size(), " entries");
  }
  inode.attributes.uid = tables.ids[uid_index];
  inode.attributes.gid = tables.ids[gid_index];
  inode.attributes.mtime = in.read<std::uint32_t>();
  inode.attributes.inode_number = in.read<std::uint32_t>();

  switch (type) {
    case FileType::directory:
      read_directory(tables, in, extended, inode);
      break;
    case FileType::regular:
      read_regular(in, extended, inode);
      break;
    case FileType::symlink:
      read_symlink(in, extended, inode);
      return inode;  // the tail is the target, in front of the xattr index
    case FileType::block_device:
    case FileType::char_device:
    case FileType::fifo:
    case FileType::socket:
      read_device(in, type == FileType::block_device || type == FileType::char_device, extended,
                  inode);
      break;
  }
  inode.tail = in.position();
  return inode;
}

}  // namespace sif
