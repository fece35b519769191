// SPDX-License-Identifier: Apache-2.0
#include "oci/tar_reader.h"

#include <algorithm>
#include <string_view>

#include "base/bytes.h"

namespace oci {
namespace {

// Headers of small files share a read; the data of large ones is never touched.
constexpr std::uint64_t kWindowSize = 32 << 10;
constexpr std::string_view kXattrPrefix = "SCHILY.xattr.";

bool is_zero(TarBlock block) {
  return std::ranges::all_of(block, [](std::byte b) { return b == std::byte{0}; });
}

// Links, devices and folders have no data, whatever their size field says.
bool has_data(char type) { return std::string_view("123456").find(type) == std::string_view::npos; }

// Records override the header's fields; an empty value keeps the header's.
void apply_records(const PaxRecords& records, TarHeader& header, TarEntry& entry,
                   const TarPosition& position) {
  for (const auto& [key, value] : records) {
    if (value.empty()) continue;
    if (key == "path") header.name = value;
    if (key == "linkpath") header.link_name = value;
    if (key == "uid") header.uid = parse_tar_decimal(value, "pax uid", position);
    if (key == "gid") header.gid = parse_tar_decimal(value, "pax gid", position);
    if (key == "size") header.size = parse_tar_decimal(value, "pax size", position);
    if (key == "mtime") header.mtime = parse_pax_time(value, position);
    if (key.starts_with(kXattrPrefix)) entry.xattrs[key.substr(kXattrPrefix.size())] = value;
  }
}

std::optional<EntryType> entry_type(char type) {
  switch (type) {
    case '0':
    case '7':  // contiguous: a regular file to everyone since the tapes
    case 'S':  // old GNU sparse
      return EntryType::regular;
    case '1':
      return EntryType::hard_link;
    case '2':
      return EntryType::symlink;
    case '3':
      return EntryType::char_device;
    case '4':
      return EntryType::block_device;
    case '5':
      return EntryType::directory;
    case '6':
      return EntryType::fifo;
    default:
      return std::nullopt;
  }
}

// Version numbers of GNU.sparse in pax records; formats 0.0 and 0.1 may lack them.
enum class PaxSparse { none, map_in_records, map_in_data };

PaxSparse pax_sparse_format(const PaxRecords& records) {
  const std::string_view major = find_record(records, "GNU.sparse.major");
  const std::string_view minor = find_record(records, "GNU.sparse.minor");
  if (major == "0" && (minor == "0" || minor == "1")) return PaxSparse::map_in_records;
  if (major == "1" && minor == "0") return PaxSparse::map_in_data;
  if (!major.empty() || !minor.empty()) return PaxSparse::none;
  return find_record(records, "GNU.sparse.map").empty() ? PaxSparse::none
                                                        : PaxSparse::map_in_records;
}

}  // namespace

TarReader::TarReader(const sif::DataSource& source, std::uint64_t size, std::string name)
    : source_(source), size_(size), name_(std::move(name)) {}

TarBlock TarReader::read_block(std::uint64_t offset, const TarPosition& position) {
  if (offset > size_ || size_ - offset < kTarBlockSize) {
    throw position.error("truncated: the archive ends at ", size_);
  }
  if (offset < window_offset_ || offset + kTarBlockSize > window_offset_ + window_.size()) {
    window_.resize(std::min(kWindowSize, size_ - offset));
    source_.read_at(offset, window_);
    window_offset_ = offset;
  }
  return TarBlock(window_.data() + (offset - window_offset_), kTarBlockSize);
}

std::uint64_t TarReader::end_of_data(std::uint64_t size, const TarPosition& position) const {
  if (size > size_ - position_) {
    throw position.error("truncated: ", size, " bytes of data at ", position_,
                         ", but the archive ends at ", size_);
  }
  return position_ + size;
}

// nullopt at the end of the archive: two zero blocks, or just the end of the file.
std::optional<TarHeader> TarReader::read_header(const TarPosition& position) {
  header_position_ = position_;
  if (position_ >= size_) return std::nullopt;
  const TarBlock block = read_block(position_, position);
  position_ += kTarBlockSize;
  if (!is_zero(block)) return parse_tar_header(block, position);
  if (position_ >= size_) return std::nullopt;
  if (!is_zero(read_block(position_, position))) {
    throw position.error("a single zero block within the archive");
  }
  saw_end_marker_ = true;
  return std::nullopt;
}

std::string TarReader::read_extension(std::uint64_t size, std::uint64_t limit,
                                      const TarPosition& position) {
  if (size > limit) {
    throw position.error("extended header of ", size, " bytes, at most ", limit, " are allowed");
  }
  const std::uint64_t end = end_of_data(size, position);
  std::string text(size, '\0');
  source_.read_at(position_, std::as_writable_bytes(std::span(text)));
  position_ = std::min(size_, base::round_up(end, kTarBlockSize));
  return text;
}

bool TarReader::take_extension(const TarHeader& header, Extensions& extensions,
                               const TarPosition& position) {
  const bool pax = header.type == 'x' || header.type == 'g';
  const bool long_text = header.type == 'L' || header.type == 'K';
  if (!pax && !long_text) return false;
  if (header.size < 0) throw position.error("negative size ", header.size);
  std::string text = read_extension(static_cast<std::uint64_t>(header.size),
                                    pax ? kMaxPaxHeader : kMaxTarName, position);
  if (header.type == 'x') extensions.pax = parse_pax_records(text, position);
  if (header.type == 'g') {
    // Docker checks global records but applies none, and forgets what preceded them.
    parse_pax_records(text, position);
    extensions = {};
  }
  text.resize(std::min(text.size(), text.find('\0')));
  if (header.type == 'L') {
    extensions.long_name = std::move(text);
  } else if (header.type == 'K') {
    extensions.long_link = std::move(text);
  }
  return true;
}

std::optional<TarEntry> TarReader::next() {
  if (finished_) return std::nullopt;
  const std::uint64_t start = position_;
  Extensions extensions;
  while (true) {
    const TarPosition position{name_, position_};
    std::optional<TarHeader> header = read_header(position);
    if (!header) {
      finished_ = true;
      return std::nullopt;
    }
    if (!take_extension(*header, extensions, position)) {
      return make_entry(std::move(*header), extensions, start);
    }
  }
}

TarEntry TarReader::make_entry(TarHeader header, const Extensions& extensions,
                               std::uint64_t start) {
  TarEntry entry;
  entry.header_offset = start;
  const std::string stored_name = header.name;  // records may bring another one
  apply_records(extensions.pax, header, entry, {name_, start, stored_name});
  if (!extensions.long_name.empty()) header.name = extensions.long_name;
  if (!extensions.long_link.empty()) header.link_name = extensions.long_link;
  if (header.type == '\0') header.type = header.name.ends_with('/') ? '5' : '0';

  const TarPosition position{name_, start, header.name};
  const std::optional<EntryType> type = entry_type(header.type);
  if (!type) {
    throw position.error("member type '", base::printable({&header.type, 1}), "' is unknown");
  }
  if (has_data(header.type) && header.size < 0) {
    throw position.error("negative size ", header.size);
  }
  entry.type = *type;
  entry.path = header.name;
  entry.link_target = std::move(header.link_name);
  entry.mode = static_cast<std::uint16_t>(header.mode & 07777);
  entry.uid = static_cast<std::uint32_t>(header.uid);  // Docker cuts to the kernel's 32 bits, too
  entry.gid = static_cast<std::uint32_t>(header.gid);
  entry.mtime = header.mtime;
  entry.device_major = static_cast<std::uint32_t>(header.device_major);
  entry.device_minor = static_cast<std::uint32_t>(header.device_minor);
  place_data(entry, header.type, static_cast<std::uint64_t>(header.size), extensions.pax, position);
  return entry;
}

void TarReader::place_data(TarEntry& entry, char type, std::uint64_t stored_size,
                           const PaxRecords& pax, const TarPosition& position) {
  if (!has_data(type)) {
    if (pax_sparse_format(pax) != PaxSparse::none) {
      throw position.error("a sparse map on a member without data");
    }
    entry.data_offset = position_;
    return;
  }
  if (type == 'S' || pax_sparse_format(pax) != PaxSparse::none) {
    // An old GNU map's extension blocks precede the data and are not counted in its size.
    place_sparse_data(entry, type, stored_size, pax, position);
    return;
  }
  entry.data_offset = position_;
  entry.size = stored_size;
  const std::uint64_t end = end_of_data(stored_size, position);
  if (stored_size > 0) entry.extents.push_back({0, position_, stored_size});
  position_ = std::min(size_, base::round_up(end, kTarBlockSize));
}

void TarReader::place_sparse_data(TarEntry& entry, char type, std::uint64_t stored_size,
                                  const PaxRecords& pax, const TarPosition& position) {
  const std::uint64_t start = position_;
  const NextBlock next_block = [&] {
    const TarBlock block = read_block(position_, position);
    position_ += kTarBlockSize;
    return block;
  };
  std::int64_t real_size = static_cast<std::int64_t>(stored_size);
  std::vector<SparsePiece> pieces;
  std::uint64_t map_size = 0;  // counted in the stored size
  if (type == 'S') {
    pieces = read_gnu_sparse_map(read_block(header_position_, position), next_block, real_size,
                                 position);
  } else {
    if (const auto name = find_record(pax, "GNU.sparse.name"); !name.empty()) entry.path = name;
    std::string_view size = find_record(pax, "GNU.sparse.size");
    if (size.empty()) size = find_record(pax, "GNU.sparse.realsize");
    if (!size.empty()) real_size = parse_tar_decimal(size, "GNU.sparse.size", position);
    if (pax_sparse_format(pax) == PaxSparse::map_in_data) {
      pieces = read_pax_sparse_map(next_block, position);
      map_size = position_ - start;
    } else {
      pieces = parse_pax_sparse_map(pax, position);
    }
  }
  if (real_size < 0) throw position.error("negative size ", real_size);
  if (map_size > stored_size) throw position.error("the sparse map is longer than the data");
  const std::uint64_t data_size = stored_size - map_size;
  const std::uint64_t end = end_of_data(data_size, position);
  entry.data_offset = position_;
  entry.size = static_cast<std::uint64_t>(real_size);
  entry.extents = place_sparse_pieces(pieces, entry.size, position_, data_size, position);
  position_ = std::min(size_, base::round_up(end, kTarBlockSize));
}

}  // namespace oci
