// SPDX-License-Identifier: Apache-2.0
// Bounded little-endian reading of hostile bytes, and appending for writers. Running past the end
// throws; nothing is ever read outside the span.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace base {

// The little-endian integer at the front of `bytes`, which has at least sizeof(T).
template <std::integral T>
constexpr T little_endian(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    value |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  return static_cast<T>(value);
}

// Reads fields in order. `structure` names the on-disk structure in messages ("squashfs
// superblock").
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> data, std::string_view structure)
      : data_(data), structure_(structure) {}

  template <std::integral T>
  T read() {
    return little_endian<T>(take(sizeof(T)));
  }
  std::span<const std::byte> take(std::size_t count);
  // Fixed-size text field, cut at the first NUL.
  std::string text(std::size_t count);
  void skip(std::size_t count) { take(count); }
  std::size_t remaining() const { return data_.size() - position_; }

 private:
  std::span<const std::byte> data_;
  std::string structure_;
  std::size_t position_ = 0;
};

class ByteWriter {
 public:
  template <std::integral T>
  void write(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bytes_.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i)));
    }
  }
  void append(std::span<const std::byte> data) {
    bytes_.insert(bytes_.end(), data.begin(), data.end());
  }
  // Text padded with NULs to `count` bytes; longer text is cut.
  void text(std::string_view value, std::size_t count);
  void zeros(std::size_t count) { bytes_.resize(bytes_.size() + count); }
  const std::vector<std::byte>& bytes() const { return bytes_; }
  std::string string() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }

 private:
  std::vector<std::byte> bytes_;
};

// By chance: version 4 of RFC 4122.
std::array<std::uint8_t, 16> random_uuid();

// The multiple of `unit` that is not below `value`, which is at least `unit` from wrapping.
constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// Offsets from files must never wrap.
constexpr bool add_overflows(std::uint64_t a, std::uint64_t b) { return a + b < a; }

}  // namespace base
