// SPDX-License-Identifier: Apache-2.0
#include "ext/partition.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
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

void Partition::clear(std::uint64_t at, std::uint64_t size) const {
  check_range(at, size);
  if (::fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset_ + at),
                  static_cast<off_t>(size)) == 0)
    return;
  constexpr std::array<std::byte, 64 << 10> kZeros{};
  for (std::uint64_t done = 0; done < size; done += kZeros.size()) {
    const std::uint64_t count = std::min<std::uint64_t>(kZeros.size(), size - done);
    write(at + done, std::span(kZeros).first(static_cast<std::size_t>(count)));
  }
}

}  // namespace ext
