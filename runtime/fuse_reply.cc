// SPDX-License-Identifier: Apache-2.0
#include "runtime/fuse_reply.h"

#include <linux/fuse.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace runtime {
namespace {

constexpr std::size_t kFirstReplyBody = 4096;  // all but reads and long listings

}  // namespace

FuseReply::FuseReply() { grow(sizeof(fuse_out_header) + kFirstReplyBody); }

void FuseReply::grow(std::size_t capacity) {
  auto larger = std::make_unique_for_overwrite<std::byte[]>(capacity);
  if (size_ > 0) std::memcpy(larger.get(), bytes_, sizeof(fuse_out_header) + size_);
  owned_ = std::move(larger);
  bytes_ = owned_.get();
  capacity_ = capacity;
}

std::span<std::byte> FuseReply::body(std::size_t size) {
  const std::size_t wanted = sizeof(fuse_out_header) + size;
  if (size > kMaxReplyBody || (capacity_ < wanted && !owned_))
    throw base::errno_error(EIO, "FUSE request for ", size, " bytes");
  if (capacity_ < wanted) grow(std::max(wanted, 2 * capacity_));
  return {bytes_ + sizeof(fuse_out_header), size};
}

void FuseReply::append(std::span<const std::byte> bytes) {
  const std::span<std::byte> whole = body(size_ + bytes.size());
  std::copy(bytes.begin(), bytes.end(), whole.begin() + static_cast<std::ptrdiff_t>(size_));
  size_ += bytes.size();
}

std::span<const std::byte> FuseReply::finish(std::uint64_t unique, int errno_value) {
  if (errno_value != 0) size_ = 0;
  fuse_out_header header{};
  header.len = static_cast<std::uint32_t>(sizeof(header) + size_);
  header.error = -errno_value;
  header.unique = unique;
  std::memcpy(bytes_, &header, sizeof(header));
  return {bytes_, header.len};
}

}  // namespace runtime
