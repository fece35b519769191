// SPDX-License-Identifier: Apache-2.0
// Reply memory of one thread of the file server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace runtime {

// The header, and a body that grows to what was asked for.
class FuseReply {
 public:
  FuseReply();
  // In the caller's memory, which is not left: a body that is too large for it throws EIO.
  explicit FuseReply(std::span<std::byte> memory)
      : bytes_(memory.data()), capacity_(memory.size()) {}
  // The body, at least `size` bytes; throws EIO above kMaxReplyBody.
  std::span<std::byte> body(std::size_t size);
  template <typename T>
  void put(const T& value) {
    append(std::as_bytes(std::span(&value, 1)));
  }
  void append(std::span<const std::byte> bytes);
  void set_size(std::size_t size) { size_ = size; }
  void clear() { size_ = 0; }
  std::size_t size() const { return size_; }
  // Header and body, ready to be written to the device in one piece.
  std::span<const std::byte> finish(std::uint64_t unique, int errno_value);

 private:
  void grow(std::size_t capacity);

  std::unique_ptr<std::byte[]> owned_;  // not initialised: fresh pages cost as much as the work
  std::byte* bytes_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;  // of the body
};

inline constexpr std::size_t kMaxReplyBody = 4 << 20;

}  // namespace runtime
