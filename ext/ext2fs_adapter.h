// SPDX-License-Identifier: Apache-2.0
// What connects us with libext2fs (e2fsprogs): its error codes become errno values and Errors, its
// input and output goes to a device of ours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"
#include "ext/libext2fs.h"

namespace ext {

// The errno value that tells the same; EIO for what speaks of damage.
int errno_of(errcode_t code);

// Throws Error with that errno value unless `code` is 0.
template <typename... Parts>
void check(errcode_t code, const Parts&... attempted) {
  if (code == 0) return;
  throw base::Error(base::cat(attempted..., ": ", error_message(code)), errno_of(code));
}

// Where a file system's blocks lie. Numbers are those of blocks of the size last told, positions
// are bytes. May throw Error, which reaches libext2fs as an error code.
class BlockDevice {
 public:
  virtual ~BlockDevice() = default;
  virtual void set_block_size(std::size_t size) = 0;
  virtual void read_blocks(std::uint64_t first, std::span<std::byte> out) = 0;
  virtual void write_blocks(std::uint64_t first, std::span<const std::byte> data) = 0;
  virtual void write_bytes(std::uint64_t at, std::span<const std::byte> data) = 0;
  virtual void zero_blocks(std::uint64_t first, std::uint64_t count) = 0;
  virtual void flush() = 0;
};

// For ext2fs_open() and ext2fs_initialize(): the name and the manager that lead to a device, which
// must outlive the file system.
std::string name_of(BlockDevice& device);
io_manager device_manager();

}  // namespace ext
