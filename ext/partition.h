// SPDX-License-Identifier: Apache-2.0
// The bytes of a file that an ext file system occupies: a whole image file, or a partition of a
// SIF. Nothing outside of them is ever read or written.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace ext {

// The descriptor is borrowed. Positions are bytes from the partition's start. What reaches beyond
// its end throws Error (EIO), as what the system refuses does. `name` is for messages.
class Partition {
 public:
  Partition(int fd, std::uint64_t offset, std::uint64_t size, std::string name)
      : fd_(fd), offset_(offset), size_(size), name_(std::move(name)) {}

  void read(std::uint64_t at, std::span<std::byte> out) const;
  void write(std::uint64_t at, std::span<const std::byte> data) const;
  // Until the disk has it: fdatasync(2).
  void sync() const;
  std::uint64_t size() const { return size_; }
  // It ends there, or where it did if that is sooner.
  void shrink_to(std::uint64_t size) { size_ = std::min(size, size_); }
  const std::string& name() const { return name_; }

 private:
  void check_range(std::uint64_t at, std::uint64_t size) const;

  int fd_;
  std::uint64_t offset_, size_;
  std::string name_;
};

}  // namespace ext
