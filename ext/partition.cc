// SPDX-License-Identifier: Apache-2.0
#include "ext/partition.h"

#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/syscalls.h"

namespace ext {

void Partition::check_range(std::uint64_t at, std::uint64_t size) const {
  if (at <= size_ && size <= size_ - at) return;
  throw base::Error(base::cat(name_, ": corrupt ext file system: ", size, " bytes at offset ", at,
                              " reach beyond its ", size_, " bytes"),
                    EIO);
}

void Partition::read(std::uint64_t at, std::span<std::byte> out) const {
  check_range(at, out.size());
  base::pread_exactly(fd_, out, offset_ + at, name_);
}

void Partition::write(std::uint64_t at, std::span<const std::byte> data) const {
  check_range(at, data.size());
  base::pwrite_all(fd_, data, offset_ + at, name_);
}

void Partition::sync() const {
  if (::fdatasync(fd_) != 0) throw base::errno_error(errno, "cannot write ", name_);
}

}  // namespace ext
