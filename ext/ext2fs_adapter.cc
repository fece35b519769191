// SPDX-License-Identifier: Apache-2.0
#include "ext/ext2fs_adapter.h"

#include <charconv>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>

namespace ext {
namespace {

BlockDevice& device_of(io_channel channel) {
  return *static_cast<BlockDevice*>(channel->private_data);
}

// No exception may pass through the library, which is C.
template <typename Action>
errcode_t guard(const Action& action) {
  try {
    action();
    return 0;
  } catch (const base::Error& error) {
    return error.errno_value() != 0 ? error.errno_value() : EIO;
  } catch (const std::bad_alloc&) {
    return ENOMEM;
  }
}

// A negative count is one of bytes, as in the library's own managers.
std::size_t byte_count(io_channel channel, int count) {
  return count < 0
             ? static_cast<std::size_t>(-static_cast<std::int64_t>(count))
             : static_cast<std::size_t>(count) * static_cast<std::size_t>(channel->block_size);
}

errcode_t read_blocks(io_channel channel, unsigned long long first, int count, void* data) {
  return guard([&] {
    device_of(channel).read_blocks(first,
                                   {static_cast<std::byte*>(data), byte_count(channel, count)});
  });
}

errcode_t write_blocks(io_channel channel, unsigned long long first, int count, const void* data) {
  return guard([&] {
    device_of(channel).write_blocks(
        first, {static_cast<const std::byte*>(data), byte_count(channel, count)});
  });
}

errcode_t set_block_size(io_channel channel, int size) {
  return guard([&] {
    channel->block_size = size;
    device_of(channel).set_block_size(static_cast<std::size_t>(size));
  });
}

errcode_t write_bytes(io_channel channel, unsigned long at, int count, const void* data) {
  return guard([&] {
    device_of(channel).write_bytes(
        at, {static_cast<const std::byte*>(data), static_cast<std::size_t>(count)});
  });
}

errcode_t zero_blocks(io_channel channel, unsigned long long first, unsigned long long count) {
  return guard([&] { device_of(channel).zero_blocks(first, count); });
}

errcode_t flush(io_channel channel) {
  return guard([&] { device_of(channel).flush(); });
}

errcode_t close_channel(io_channel channel) {
  if (--channel->refcount > 0) return 0;
  delete[] channel->name;
  delete channel;
  return 0;
}

errcode_t open_channel(const char* name, int flags, io_channel* channel);

errcode_t refuse_option(io_channel, const char*, const char*) { return EXT2_ET_INVALID_ARGUMENT; }

struct_io_manager make_manager() {
  struct_io_manager manager{};
  manager.magic = EXT2_ET_MAGIC_IO_MANAGER;
  manager.name = "sifrun";
  manager.open = open_channel;
  manager.close = close_channel;
  manager.set_blksize = set_block_size;
  manager.read_blk = [](io_channel channel, unsigned long first, int count, void* data) {
    return read_blocks(channel, first, count, data);
  };
  manager.write_blk = [](io_channel channel, unsigned long first, int count, const void* data) {
    return write_blocks(channel, first, count, data);
  };
  manager.read_blk64 = read_blocks;
  manager.write_blk64 = write_blocks;
  manager.write_byte = write_bytes;
  manager.zeroout = zero_blocks;
  manager.flush = flush;
  manager.set_option = refuse_option;
  return manager;
}

errcode_t open_channel(const char* name, int flags, io_channel* channel) {
  std::uintptr_t address = 0;
  std::from_chars(name, name + std::strlen(name), address, 16);
  return guard([&] {
    auto opened = std::make_unique<struct_io_channel>();
    *opened = {};
    opened->magic = EXT2_ET_MAGIC_IO_CHANNEL;
    opened->manager = device_manager();
    opened->name = new char[std::strlen(name) + 1];
    std::strcpy(opened->name, name);
    opened->block_size = 1024;
    opened->refcount = 1;
    opened->flags = flags;
    opened->private_data = reinterpret_cast<BlockDevice*>(address);
    *channel = opened.release();
  });
}

}  // namespace

std::string name_of(BlockDevice& device) {
  std::string name(2 * sizeof(std::uintptr_t), '\0');
  const auto end = std::to_chars(name.data(), name.data() + name.size(),
                                 reinterpret_cast<std::uintptr_t>(&device), 16);
  name.resize(static_cast<std::size_t>(end.ptr - name.data()));
  return name;
}

io_manager device_manager() {
  static struct_io_manager manager = make_manager();
  return &manager;
}

int errno_of(errcode_t code) {
  // Values below those of the library's own table are errno values.
  if (code > 0 && code < EXT2_ET_BASE) return static_cast<int>(code);
  switch (code) {
    case EXT2_ET_NO_MEMORY:
      return ENOMEM;
    case EXT2_ET_FILE_NOT_FOUND:
      return ENOENT;
    case EXT2_ET_BLOCK_ALLOC_FAIL:
    case EXT2_ET_INODE_ALLOC_FAIL:
    case EXT2_ET_EA_NO_SPACE:
    case EXT2_ET_DIR_NO_SPACE:
      return ENOSPC;
    case EXT2_ET_FILE_EXISTS:
    case EXT2_ET_DIR_EXISTS:
      return EEXIST;
    case EXT2_ET_NO_DIRECTORY:
      return ENOTDIR;
    case EXT2_ET_EA_KEY_NOT_FOUND:
      return ENODATA;
    case EXT2_ET_FILE_TOO_BIG:
      return EFBIG;
    case EXT2_ET_RO_FILSYS:
    case EXT2_ET_FILE_RO:
      return EROFS;
    case EXT2_ET_UNSUPP_FEATURE:
    case EXT2_ET_RO_UNSUPP_FEATURE:
      return EOPNOTSUPP;
    case EXT2_ET_INVALID_ARGUMENT:
    case EXT2_ET_EA_BAD_NAME_LEN:
      return EINVAL;
    default:
      return EIO;
  }
}

}  // namespace ext
