// SPDX-License-Identifier: Apache-2.0
// One 512-byte tar header block: format detection, checksum and fields, by the rules of Go's
// archive/tar (which every Docker and containerd uses), so that an archive means here what it means
// there. Formats: v7, ustar, star, GNU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace oci {

inline constexpr std::size_t kTarBlockSize = 512;

// Where in which archive a parser stands; makes the messages.
struct TarPosition {
  const std::string& archive;    // "layer 3 of image.tar"
  std::uint64_t offset = 0;      // of the member's header
  std::string_view member = {};  // empty while unknown

  template <typename... Parts>
  [[nodiscard]] base::Error error(const Parts&... parts) const {
    return describe(base::cat(parts...));
  }

 private:
  base::Error describe(const std::string& reason) const;
};

struct TarHeader {
  char type = 0;
  std::string name, link_name;
  std::int64_t size = 0, mode = 0, uid = 0, gid = 0, mtime = 0;
  std::int64_t device_major = 0, device_minor = 0;
};

using TarBlock = std::span<const std::byte, kTarBlockSize>;

// Throws when the checksum or a number is wrong.
TarHeader parse_tar_header(TarBlock block, const TarPosition& position);

// A numeric field: octal text or base-256 (GNU). `field` names it in messages.
std::int64_t parse_tar_number(std::span<const std::byte> raw, std::string_view field,
                              const TarPosition& position);

// Decimal text of pax records and sparse maps: digits with an optional sign, nothing else.
std::int64_t parse_tar_decimal(std::string_view text, std::string_view field,
                               const TarPosition& position);

// A text field, cut at the first NUL.
std::string tar_text(std::span<const std::byte> raw);

}  // namespace oci
