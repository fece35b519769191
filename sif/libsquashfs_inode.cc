// SPDX-License-Identifier: Apache-2.0
#include "sif/libsquashfs_inode.h"

#include <sqfs/dir.h>
#include <sqfs/io.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

namespace sif {
namespace {

constexpr std::size_t kMaxListingIndex = 65535;  // an extended directory inode's count has 16 bits

SqfsInode allocate_inode(std::size_t payload) {
  // sqfs_free is free(3), as the library's documentation guarantees for version 1.
  void* block = std::calloc(1, sizeof(sqfs_inode_generic_t) + payload);
  if (block == nullptr) throw std::bad_alloc();
  SqfsInode inode(static_cast<sqfs_inode_generic_t*>(block));
  inode->payload_bytes_available = inode->payload_bytes_used = static_cast<sqfs_u32>(payload);
  return inode;
}

SqfsInode make_file_inode(const NewInode& record) {
  SqfsInode inode = allocate_inode(0);
  const std::uint64_t size = record.inode->size;
  if (size <= 0xFFFFFFFF && record.start <= 0xFFFFFFFF && record.link_count == 1 &&
      record.sparse == 0 && record.xattrs == kNoXattr) {
    inode->base.type = SQFS_INODE_FILE;
    inode->data.file = {static_cast<sqfs_u32>(record.start), record.fragment,
                        record.fragment_offset, static_cast<sqfs_u32>(size)};
  } else {
    inode->base.type = SQFS_INODE_EXT_FILE;
    inode->data.file_ext = {
        record.start,           size,         record.sparse, record.link_count, record.fragment,
        record.fragment_offset, record.xattrs};
  }
  return inode;
}

SqfsInode make_symlink_inode(const NewInode& record) {
  const std::string& target = record.inode->symlink_target;
  SqfsInode inode = allocate_inode(target.size());
  std::memcpy(inode->extra, target.data(), target.size());
  const auto size = static_cast<sqfs_u32>(target.size());
  if (record.xattrs == kNoXattr) {
    inode->base.type = SQFS_INODE_SLINK;
    inode->data.slink = {record.link_count, size};
  } else {
    inode->base.type = SQFS_INODE_EXT_SLINK;
    inode->data.slink_ext = {record.link_count, size, record.xattrs};
  }
  return inode;
}

SqfsInode make_special_inode(const NewInode& record) {
  SqfsInode inode = allocate_inode(0);
  const bool extended = record.xattrs != kNoXattr;
  const FileType type = record.inode->type;
  if (type == FileType::block_device || type == FileType::char_device) {
    const bool block = type == FileType::block_device;
    const std::uint32_t device =
        packed_device(record.inode->device_major, record.inode->device_minor);
    if (extended) {
      inode->base.type = block ? SQFS_INODE_EXT_BDEV : SQFS_INODE_EXT_CDEV;
      inode->data.dev_ext = {record.link_count, device, record.xattrs};
    } else {
      inode->base.type = block ? SQFS_INODE_BDEV : SQFS_INODE_CDEV;
      inode->data.dev = {record.link_count, device};
    }
  } else {
    const bool fifo = type == FileType::fifo;
    if (extended) {
      inode->base.type = fifo ? SQFS_INODE_EXT_FIFO : SQFS_INODE_EXT_SOCKET;
      inode->data.ipc_ext = {record.link_count, record.xattrs};
    } else {
      inode->base.type = fifo ? SQFS_INODE_FIFO : SQFS_INODE_SOCKET;
      inode->data.ipc = {record.link_count};
    }
  }
  return inode;
}

}  // namespace

void SqfsFree::operator()(void* block) const { sqfs_free(block); }

std::uint16_t format_mode(const Inode& inode) {
  static constexpr std::uint16_t kTypeBits[] = {S_IFDIR, S_IFREG, S_IFLNK, S_IFBLK,
                                                S_IFCHR, S_IFIFO, S_IFSOCK};
  return static_cast<std::uint16_t>(kTypeBits[static_cast<unsigned>(inode.type)] |
                                    (inode.mode & 07777));
}

void drop_index_if_too_long(sqfs_inode_generic_t& inode) {
  if (inode.base.type != SQFS_INODE_EXT_DIR) return;
  const auto* payload = reinterpret_cast<const std::byte*>(inode.extra);
  std::size_t entries = 0;
  for (std::size_t at = 0; at < inode.payload_bytes_used; ++entries) {
    sqfs_dir_index_t entry;
    std::memcpy(&entry, payload + at, sizeof(entry));
    at += sizeof(entry) + entry.size + 1;
  }
  if (entries <= kMaxListingIndex) return;
  inode.data.dir_ext.inodex_count = 0;
  inode.payload_bytes_used = 0;
}

SqfsInode make_inode(const NewInode& record) {
  switch (record.inode->type) {
    case FileType::regular:
      return make_file_inode(record);
    case FileType::symlink:
      return make_symlink_inode(record);
    default:
      return make_special_inode(record);
  }
}

}  // namespace sif
