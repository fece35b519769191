// SPDX-License-Identifier: Apache-2.0
#include "oci/tar_header.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace oci {
namespace {

constexpr std::size_t kMaxMessageName = 200;

enum class Format { v7, ustar, star, gnu };

std::string_view chars(std::span<const std::byte> raw) {
  return {reinterpret_cast<const char*>(raw.data()), raw.size()};
}

std::int64_t parse_octal(std::string_view text, std::string_view field,
                         const TarPosition& position) {
  constexpr std::string_view kPadding(" \0", 2);
  const std::size_t first = text.find_first_not_of(kPadding);
  if (first == std::string_view::npos) return 0;
  text = text.substr(first, text.find_last_not_of(kPadding) - first + 1);
  text = text.substr(0, text.find('\0'));
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value, 8);
  if (error != std::errc() || end != text.end() ||
      value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    throw position.error("the ", field, " field '", base::printable(text), "' is no octal number");
  }
  return static_cast<std::int64_t>(value);
}

// GNU's base-256: the top bit marks it, the rest is a big-endian two's complement number.
std::int64_t parse_base256(std::span<const std::byte> raw, std::string_view field,
                           const TarPosition& position) {
  const auto first = std::to_integer<std::uint8_t>(raw[0]);
  const std::uint8_t invert = (first & 0x40) != 0 ? 0xFF : 0;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    auto digit = static_cast<std::uint8_t>(std::to_integer<std::uint8_t>(raw[i]) ^ invert);
    if (i == 0) digit &= 0x7F;
    if ((value >> 56) != 0) throw position.error("the ", field, " field exceeds 63 bits");
    value = value << 8 | digit;
  }
  if ((value >> 63) != 0) throw position.error("the ", field, " field exceeds 63 bits");
  return static_cast<std::int64_t>(invert != 0 ? ~value : value);
}

// The checksum takes its own field as blanks; old writers summed signed bytes.
void verify_checksum(TarBlock block, const TarPosition& position) {
  const std::int64_t stored = parse_octal(chars(block.subspan(148, 8)), "checksum", position);
  std::int64_t unsigned_sum = 0, signed_sum = 0;
  for (std::size_t i = 0; i < block.size(); ++i) {
    const bool own_field = i >= 148 && i < 156;
    const auto value = own_field ? std::uint8_t{' '} : std::to_integer<std::uint8_t>(block[i]);
    unsigned_sum += value;
    signed_sum += static_cast<std::int8_t>(value);
  }
  if (stored != unsigned_sum && stored != signed_sum) {
    throw position.error("header checksum is ", stored, ", should be ", unsigned_sum);
  }
}

Format detect_format(TarBlock block) {
  const std::string_view magic = chars(block.subspan(257, 6));
  const std::string_view version = chars(block.subspan(263, 2));
  if (magic == std::string_view("ustar\0", 6)) {
    const bool star = chars(block.subspan(508, 4)) == std::string_view("tar\0", 4);
    return star ? Format::star : Format::ustar;
  }
  const bool gnu = magic == "ustar " && version == std::string_view(" \0", 2);
  return gnu ? Format::gnu : Format::v7;
}

bool is_time_field(std::span<const std::byte> raw) {
  if (raw[0] == std::byte{0}) return true;
  if ((raw[0] & std::byte{0x80}) != std::byte{0}) return true;
  return std::ranges::all_of(raw, [](std::byte b) {
    const char c = static_cast<char>(b);
    return c == '\0' || c == ' ' || (c >= '0' && c <= '7');
  });
}

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// Go before 1.8 wrote a ustar prefix into GNU headers, over the atime and ctime fields.
std::string gnu_prefix(TarBlock block) {
  if (is_time_field(block.subspan(345, 12)) && is_time_field(block.subspan(357, 12))) return {};
  std::string prefix = tar_text(block.subspan(345, 155));
  return is_ascii(prefix) ? prefix : std::string();
}

std::string name_prefix(TarBlock block, Format format) {
  if (format == Format::ustar) return tar_text(block.subspan(345, 155));
  if (format == Format::star) return tar_text(block.subspan(345, 131));
  return format == Format::gnu ? gnu_prefix(block) : std::string();
}

}  // namespace

base::Error TarPosition::describe(const std::string& reason) const {
  std::string where;
  if (!member.empty()) {
    const bool cut = member.size() > kMaxMessageName;
    where = base::cat("member '", base::printable(member.substr(0, kMaxMessageName)),
                      cut ? "...' " : "' ");
  }
  return base::error(archive, ": ", where, "at offset ", offset, ": ", reason);
}

std::string tar_text(std::span<const std::byte> raw) {
  const std::string_view text = chars(raw);
  return std::string(text.substr(0, text.find('\0')));
}

std::int64_t parse_tar_number(std::span<const std::byte> raw, std::string_view field,
                              const TarPosition& position) {
  if ((raw[0] & std::byte{0x80}) != std::byte{0}) return parse_base256(raw, field, position);
  return parse_octal(chars(raw), field, position);
}

std::int64_t parse_tar_decimal(std::string_view text, std::string_view field,
                               const TarPosition& position) {
  std::string_view digits = text;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  const auto value = base::find_number<std::int64_t>(digits);
  if (!value || text.starts_with("+-")) {
    throw position.error(field, " '", base::printable(text.substr(0, 40)),
                         "' is no decimal number");
  }
  return *value;
}

TarHeader parse_tar_header(TarBlock block, const TarPosition& position) {
  verify_checksum(block, position);
  const Format format = detect_format(block);
  TarHeader header;
  header.type = static_cast<char>(block[156]);
  header.name = tar_text(block.subspan(0, 100));
  header.link_name = tar_text(block.subspan(157, 100));
  header.mode = parse_tar_number(block.subspan(100, 8), "mode", position);
  header.uid = parse_tar_number(block.subspan(108, 8), "uid", position);
  header.gid = parse_tar_number(block.subspan(116, 8), "gid", position);
  header.size = parse_tar_number(block.subspan(124, 12), "size", position);
  header.mtime = parse_tar_number(block.subspan(136, 12), "mtime", position);
  if (format == Format::v7) return header;

  header.device_major = parse_tar_number(block.subspan(329, 8), "device major", position);
  header.device_minor = parse_tar_number(block.subspan(337, 8), "device minor", position);
  const std::string prefix = name_prefix(block, format);
  if (!prefix.empty()) header.name = prefix + "/" + header.name;
  return header;
}

}  // namespace oci
