// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>

namespace base {

std::span<const std::byte> ByteReader::take(std::size_t count) {
  if (count > remaining()) {
    throw Error(cat(structure_, " is truncated: ", count, " bytes wanted at byte ", position_,
                    " of ", data_.size()),
                EIO);
  }
  const auto part = data_.subspan(position_, count);
  position_ += count;
  return part;
}

std::string ByteReader::text(std::size_t count) {
  const auto raw = take(count);
  const auto* begin = reinterpret_cast<const char*>(raw.data());
  return {begin, std::find(begin, begin + raw.size(), '\0')};
}

std::array<std::uint8_t, 16> random_uuid() {
  std::array<std::uint8_t, 16> uuid{};
  if (::getrandom(uuid.data(), uuid.size(), 0) != static_cast<ssize_t>(uuid.size()))
    throw errno_error(errno, "cannot get random bytes");
  uuid[6] = static_cast<std::uint8_t>((uuid[6] & 0x0F) | 0x40);
  uuid[8] = static_cast<std::uint8_t>((uuid[8] & 0x3F) | 0x80);
  return uuid;
}

void ByteWriter::text(std::string_view value, std::size_t count) {
  value = value.substr(0, count);
  append(std::as_bytes(std::span(value)));
  zeros(count - value.size());
}

}  // namespace base
