// SPDX-License-Identifier: Apache-2.0
// The bytes of one squashfs image within a file (a SIF partition or a bare image). Read with pread,
// never mapped: truncation and I/O errors must become EIO, not SIGBUS, and a mapping pulls whole
// read-ahead windows of a cold image from disk.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sif {

class ImageBytes {
 public:
  // `fd` is borrowed. `name` appears in messages.
  ImageBytes(int fd, std::uint64_t offset, std::uint64_t size, std::string name);

  std::uint64_t size() const { return size_; }
  const std::string& name() const { return name_; }
  // What lies behind the file system (padding, other SIF objects) is out of bounds.
  void shrink(std::uint64_t size) { size_ = size; }

  // Fills `out` from `position` of the image; throws EIO when that leaves the image. Thread-safe.
  void read(std::uint64_t position, std::span<std::byte> out, std::string_view structure) const;

  // Asks the kernel to fetch a range in the background; never fails.
  void prefetch(std::uint64_t position, std::uint64_t length) const;

  template <typename... Parts>
  [[nodiscard]] base::Error corrupt(const Parts&... parts) const {
    return base::Error(base::cat(base::printable(name_), ": corrupt squashfs: ", parts...), EIO);
  }

 private:
  int fd_;
  std::uint64_t offset_;
  std::uint64_t size_;
  std::string name_;
};

}  // namespace sif
