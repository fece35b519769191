// SPDX-License-Identifier: Apache-2.0
#include "sif/image_bytes.h"

#include <fcntl.h>

#include <utility>

#include "base/bytes.h"
#include "base/syscalls.h"

namespace sif {

ImageBytes::ImageBytes(int fd, std::uint64_t offset, std::uint64_t size, std::string name)
    : fd_(fd), offset_(offset), size_(size), name_(std::move(name)) {
  if (base::add_overflows(offset, size) || offset + size > INT64_MAX)
    throw corrupt("the partition at offset ", offset, " of ", size, " bytes is out of range");
  // Compressed blocks are scattered: kernel read-ahead on them fetches what nobody asked for.
  ::posix_fadvise(fd_, static_cast<off_t>(offset_), static_cast<off_t>(size_), POSIX_FADV_RANDOM);
}

void ImageBytes::read(std::uint64_t position, std::span<std::byte> out,
                      std::string_view structure) const {
  if (position > size_ || out.size() > size_ - position) {
    throw corrupt(structure, " at offset ", position, " of ", out.size(),
                  " bytes, but the file system has ", size_);
  }
  base::pread_exactly(fd_, out, offset_ + position, name_);
}

void ImageBytes::prefetch(std::uint64_t position, std::uint64_t length) const {
  if (position > size_ || length > size_ - position) return;
  ::posix_fadvise(fd_, static_cast<off_t>(offset_ + position), static_cast<off_t>(length),
                  POSIX_FADV_WILLNEED);
}

}  // namespace sif
