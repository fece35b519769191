// SPDX-License-Identifier: Apache-2.0
#include "sif/xattr_reader.h"

#include <array>

#include "base/bytes.h"

namespace sif {
namespace {

constexpr std::uint32_t kTableHeaderBytes = 16;
constexpr std::uint32_t kEntryBytes = 16;
constexpr std::uint32_t kEntriesPerBlock = kMetadataBlockSize / kEntryBytes;
constexpr std::uint16_t kOutOfLine = 0x0100;
constexpr std::uint16_t kPrefixMask = 0x00FF;

}  // namespace

XattrReader::XattrReader(const ImageTables& tables) : tables_(tables) {
  if (tables.super.xattr_table == kNoTable) return;
  std::array<std::byte, kTableHeaderBytes> raw{};
  tables.image.read(tables.super.xattr_table, raw, "xattr table");
  base::ByteReader header(raw, "squashfs xattr table");
  values_start_ = header.read<std::uint64_t>();
  count_ = header.read<std::uint32_t>();
  if (count_ == 0) return;
  const std::uint64_t index_position = tables.super.xattr_table + kTableHeaderBytes;
  index_ = read_table_index(tables.image, index_position, count_, kEntryBytes, "xattr table");
  values_end_ = index_.front();
  if (values_start_ >= values_end_) {
    throw tables.image.corrupt("xattr values at offset ", values_start_, " behind their table at ",
                               values_end_);
  }
}

MetadataCursor XattrReader::value_cursor(std::uint64_t reference) const {
  const std::uint64_t block = reference >> 16;
  if (block >= values_end_ - values_start_) {
    throw tables_.image.corrupt("xattr reference ", reference, " beyond the values of ",
                                values_end_ - values_start_, " bytes");
  }
  return {tables_.metadata,
          {values_start_ + block, static_cast<std::uint32_t>(reference & 0xFFFF)},
          values_end_,
          "xattr values"};
}

std::string XattrReader::read_value(MetadataCursor& in, bool out_of_line) const {
  const auto size = in.read<std::uint32_t>();
  if (out_of_line) {
    if (size != sizeof(std::uint64_t))
      throw tables_.image.corrupt("xattr reference of ", size, " bytes");
    MetadataCursor elsewhere = value_cursor(in.read<std::uint64_t>());
    return read_value(elsewhere, false);
  }
  if (size > kMaxXattrValue) {
    throw tables_.image.corrupt("xattr value of ", size, " bytes, allowed are ", kMaxXattrValue);
  }
  std::string value(size, '\0');
  in.read_into(std::as_writable_bytes(std::span(value)));
  return value;
}

std::vector<std::pair<std::string, std::string>> XattrReader::read(
    std::uint32_t xattr_index) const {
  std::vector<std::pair<std::string, std::string>> found;
  if (xattr_index == kNoXattr) return found;
  if (xattr_index >= count_) throw tables_.image.corrupt("xattr set ", xattr_index, " of ", count_);
  MetadataCursor entry(
      tables_.metadata,
      {index_[xattr_index / kEntriesPerBlock], xattr_index % kEntriesPerBlock * kEntryBytes},
      tables_.super.xattr_table, "xattr table");
  const auto reference = entry.read<std::uint64_t>();
  const auto count = entry.read<std::uint32_t>();

  MetadataCursor in = value_cursor(reference);
  std::uint64_t names = 0;
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto type = in.read<std::uint16_t>();
    const auto name_size = in.read<std::uint16_t>();
    if (name_size > kMaxXattrName)
      throw tables_.image.corrupt("xattr name of ", name_size, " bytes");
    const std::span<const std::byte> raw_name = in.take(name_size);
    std::string name(reinterpret_cast<const char*>(raw_name.data()), raw_name.size());
    std::string value = read_value(in, (type & kOutOfLine) != 0);
    names += name.size() + 1;
    bytes += value.size();
    if (names > kMaxXattrNames || bytes > kMaxXattrBytes)
      throw tables_.image.corrupt("more xattrs in set ", xattr_index, " than Linux can list");
    if (name.empty() || name.find('\0') != std::string::npos)
      throw tables_.image.corrupt("xattr with the name ", base::printable(name));
    // Namespaces of later formats are passed over, as the kernel does.
    const std::size_t prefix = type & kPrefixMask;
    if (prefix >= kXattrPrefixes.size()) continue;
    found.emplace_back(std::string(kXattrPrefixes[prefix]) + name, std::move(value));
  }
  return found;
}

}  // namespace sif
