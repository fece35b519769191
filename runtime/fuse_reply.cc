// SPDX-License-Identifier: Apache-2.0
#include "runtime/fuse_reply.h"

#include <linux/fuse.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace runtime {
namespace {

constexpr std::size_t kFirstReplyBody = 4096;  // all but reads and long listings

}  // namespace

FuseReply::FuseReply() : bytes_(sizeof(fuse_out_header) + kFirstReplyBody) {}

std::span<std::byte> FuseReply::body(std::size_t size) {
  if (size > kMaxReplyBody) throw base::errno_error(EIO, "FUSE request for ", size, " bytes");
  if (bytes_.size() < sizeof(fuse_out_header) + size) bytes_.resize(sizeof(fuse_out_header) + size);
  return std::span(bytes_).subspan(sizeof(fuse_out_header), size);
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
  std::memcpy(bytes_.data(), &header, sizeof(header));
  return std::span(bytes_).first(header.len);
}

}  // namespace runtime
