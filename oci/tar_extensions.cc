// SPDX-License-Identifier: Apache-2.0
#include "oci/tar_extensions.h"

#include <array>
#include <charconv>
#include <limits>

namespace oci {
namespace {

constexpr std::size_t kSparseEntrySize = 24;  // offset and length, 12 bytes each
constexpr std::size_t kHeaderSparseEntries = 4;
constexpr std::size_t kExtensionSparseEntries = 21;

// Splits the next record off `text`.
std::pair<std::string_view, std::string_view> take_record(std::string_view& text,
                                                          const TarPosition& position) {
  std::size_t length = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), length);
  const auto prefix = static_cast<std::size_t>(end - text.begin()) + 1;
  // The shortest record is "5 k=\n" with an empty value.
  if (error != std::errc() || end == text.end() || *end != ' ' || length > text.size() ||
      length < prefix + 1 || text[length - 1] != '\n') {
    throw position.error("malformed pax record");
  }
  const std::string_view record = text.substr(prefix, length - prefix - 1);
  const std::size_t equals = record.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    throw position.error("pax record without a key");
  }
  text.remove_prefix(length);
  return {record.substr(0, equals), record.substr(equals + 1)};
}

bool holds_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

void check_piece_count(std::uint64_t count, const TarPosition& position) {
  if (count > kMaxSparseExtents) {
    throw position.error("sparse map of more than ", kMaxSparseExtents, " pieces");
  }
}

// Appends entries until an unused one.
void append_gnu_entries(std::span<const std::byte> raw, std::size_t count,
                        std::vector<SparsePiece>& pieces, const TarPosition& position) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto entry = raw.subspan(i * kSparseEntrySize, kSparseEntrySize);
    if (entry[0] == std::byte{0}) return;
    check_piece_count(pieces.size() + 1, position);
    pieces.push_back({parse_tar_number(entry.first(12), "sparse offset", position),
                      parse_tar_number(entry.subspan(12), "sparse length", position)});
  }
}

// Newline-terminated decimal numbers in consecutive blocks.
class DecimalLines {
 public:
  DecimalLines(const NextBlock& next_block, const TarPosition& position)
      : next_block_(next_block), position_(position) {}

  std::int64_t next() {
    std::array<char, 32> digits;
    std::size_t count = 0;
    for (char c = next_byte(); c != '\n'; c = next_byte()) {
      if (count == digits.size()) throw position_.error("malformed sparse map");
      digits[count++] = c;
    }
    return parse_tar_decimal({digits.data(), count}, "sparse map number", position_);
  }

 private:
  char next_byte() {
    if (rest_.empty()) rest_ = next_block_();
    const auto c = static_cast<char>(rest_.front());
    rest_ = rest_.subspan(1);
    return c;
  }

  const NextBlock& next_block_;
  const TarPosition& position_;
  std::span<const std::byte> rest_;  // of the last block
};

}  // namespace

std::string_view find_record(const PaxRecords& records, std::string_view key) {
  const auto found = records.find(key);
  return found == records.end() ? std::string_view() : std::string_view(found->second);
}

PaxRecords parse_pax_records(std::string_view text, const TarPosition& position) {
  PaxRecords records;
  std::string sparse_map;
  std::size_t sparse_numbers = 0;
  while (!text.empty()) {
    const auto [key, value] = take_record(text, position);
    const bool is_name = key == "path" || key == "linkpath" || key == "uname" || key == "gname";
    if (holds_nul(key) || (is_name && holds_nul(value))) {
      throw position.error("pax record holds a NUL byte");
    }
    const bool offset = key == "GNU.sparse.offset", length = key == "GNU.sparse.numbytes";
    if (!offset && !length) {
      records.insert_or_assign(std::string(key), std::string(value));
      continue;
    }
    if (length != (sparse_numbers % 2 == 1) || value.find(',') != std::string_view::npos) {
      throw position.error("malformed pax sparse map");
    }
    if (sparse_numbers++ > 0) sparse_map += ',';
    sparse_map += value;
  }
  if (sparse_numbers > 0) records.insert_or_assign("GNU.sparse.map", std::move(sparse_map));
  return records;
}

std::int64_t parse_pax_time(std::string_view text, const TarPosition& position) {
  const std::size_t dot = text.find('.');
  const std::string_view fraction =
      dot == std::string_view::npos ? std::string_view() : text.substr(dot + 1);
  if (fraction.find_first_not_of("0123456789") != std::string_view::npos) {
    throw position.error("pax time '", base::printable(text.substr(0, 40)), "' is no number");
  }
  const std::int64_t seconds = parse_tar_decimal(text.substr(0, dot), "pax time", position);
  // Nanoseconds are all that Docker keeps, so a smaller fraction does not round.
  const bool has_fraction = fraction.substr(0, 9).find_first_not_of('0') != std::string_view::npos;
  const bool round_down =
      text.starts_with('-') && has_fraction && seconds > std::numeric_limits<std::int64_t>::min();
  return round_down ? seconds - 1 : seconds;
}

std::vector<SparsePiece> read_gnu_sparse_map(TarBlock header, const NextBlock& next_block,
                                             std::int64_t& real_size, const TarPosition& position) {
  real_size = parse_tar_number(header.subspan(483, 12), "real size", position);
  std::vector<SparsePiece> pieces;
  bool extended = header[482] != std::byte{0};
  append_gnu_entries(header.subspan(386), kHeaderSparseEntries, pieces, position);
  while (extended) {
    const TarBlock block = next_block();
    append_gnu_entries(block, kExtensionSparseEntries, pieces, position);
    extended = block[504] != std::byte{0};
  }
  return pieces;
}

std::vector<SparsePiece> parse_pax_sparse_map(const PaxRecords& records,
                                              const TarPosition& position) {
  const std::int64_t count = parse_tar_decimal(find_record(records, "GNU.sparse.numblocks"),
                                               "GNU.sparse.numblocks", position);
  if (count < 0) throw position.error("negative GNU.sparse.numblocks");
  check_piece_count(static_cast<std::uint64_t>(count), position);

  std::vector<SparsePiece> pieces;
  std::string_view map = find_record(records, "GNU.sparse.map");
  bool more = !map.empty();
  const auto next_number = [&] {
    if (!more) throw position.error("GNU.sparse.map is shorter than GNU.sparse.numblocks says");
    const std::size_t comma = map.find(',');
    const std::string_view number = map.substr(0, comma);
    more = comma != std::string_view::npos;
    if (more) map.remove_prefix(comma + 1);
    return parse_tar_decimal(number, "GNU.sparse.map number", position);
  };
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t offset = next_number();
    pieces.push_back({offset, next_number()});
  }
  if (more) throw position.error("GNU.sparse.map is longer than GNU.sparse.numblocks says");
  return pieces;
}

std::vector<SparsePiece> read_pax_sparse_map(const NextBlock& next_block,
                                             const TarPosition& position) {
  DecimalLines lines(next_block, position);
  const std::int64_t count = lines.next();
  if (count < 0) throw position.error("negative sparse map size");
  check_piece_count(static_cast<std::uint64_t>(count), position);
  std::vector<SparsePiece> pieces;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t offset = lines.next();
    pieces.push_back({offset, lines.next()});
  }
  return pieces;
}

std::vector<sif::DataExtent> place_sparse_pieces(const std::vector<SparsePiece>& pieces,
                                                 std::uint64_t file_size, std::uint64_t data_offset,
                                                 std::uint64_t stored_size,
                                                 const TarPosition& position) {
  std::vector<sif::DataExtent> extents;
  std::uint64_t file_position = 0, used = 0;
  for (const SparsePiece& piece : pieces) {
    const auto offset = static_cast<std::uint64_t>(piece.offset);
    const auto length = static_cast<std::uint64_t>(piece.length);
    if (piece.offset < 0 || piece.length < 0 || offset < file_position || offset > file_size ||
        length > file_size - offset) {
      throw position.error("sparse piece of ", piece.length, " bytes at ", piece.offset,
                           " is out of order or outside the file's ", file_size, " bytes");
    }
    if (length > stored_size - used) throw position.error("sparse data is incomplete");
    if (length > 0) extents.push_back({offset, data_offset + used, length});
    used += length;
    file_position = offset + length;
  }
  if (used != stored_size) {
    throw position.error("sparse map covers ", used, " of ", stored_size, " stored bytes");
  }
  return extents;
}

}  // namespace oci
