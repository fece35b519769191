// SPDX-License-Identifier: Apache-2.0
#include "sif/directory_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/bytes.h"

namespace sif {
namespace {

constexpr std::uint32_t kRunHeaderBytes = 12;
constexpr std::uint32_t kEntryHeaderBytes = 8;
// Listings up to this size are scanned for a name; larger ones are looked up through an index.
constexpr std::uint32_t kMaxScannedListing = 3 * kMetadataBlockSize;
// Cookie: offset of the run in the listing, and the entry's number within the run.
constexpr std::uint32_t kCookieEntryBits = 9;
static_assert(kMaxRunEntries < 1 << kCookieEntryBits);

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_valid_name(std::string_view name) {
  return name != "." && name != ".." && std::memchr(name.data(), '/', name.size()) == nullptr &&
         std::memchr(name.data(), '\0', name.size()) == nullptr;
}

}  // namespace

void DirectoryReader::check_listing(const InodeRecord& directory) const {
  if (directory.attributes.type != FileType::directory)
    throw base::errno_error(ENOTDIR, "inode ", directory.attributes.ref);
  if (directory.listing_size > kMaxListingSize) {
    throw tables_.image.corrupt("directory listing of ", directory.listing_size,
                                " bytes, allowed are ", kMaxListingSize);
  }
}

MetadataCursor DirectoryReader::cursor_at(MetadataPosition place) const {
  return {tables_.metadata, place, tables_.super.directory_end, "directory table"};
}

// Calls `on_run` (if any) for each run and `on_entry` for each entry from `from` (whose first
// `first_entry` entries are passed over) until it returns false or the listing reaches `end`.
void DirectoryReader::walk(const InodeRecord& directory, RunPosition from,
                           std::uint32_t first_entry, std::uint32_t end, const RunVisitor& on_run,
                           const EntryVisitor& on_entry) const {
  std::uint32_t offset = from.listing_offset;
  if (offset >= end) return;
  const auto corrupt = [&](const auto&... parts) {
    return tables_.image.corrupt("directory of inode ", directory.attributes.inode_number, ": ",
                                 parts...);
  };
  MetadataCursor in = cursor_at(from.place);
  while (offset < end) {
    const RunPosition run{offset, in.position()};
    const auto count = std::uint64_t{in.read<std::uint32_t>()} + 1;
    const auto inode_block = in.read<std::uint32_t>();
    const auto inode_base = in.read<std::uint32_t>();
    if (count > kMaxRunEntries)
      throw corrupt(count, " entries in a run, allowed are ", kMaxRunEntries);
    offset += kRunHeaderBytes;
    if (on_run) on_run(run);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::span<const std::byte> header = in.take(kEntryHeaderBytes);
      const std::uint16_t inode_offset = base::little_endian<std::uint16_t>(header);
      const auto inode_delta =
          static_cast<std::int16_t>(base::little_endian<std::uint16_t>(header.subspan(2)));
      const std::uint16_t type = base::little_endian<std::uint16_t>(header.subspan(4));
      const std::uint32_t name_size =
          std::uint32_t{base::little_endian<std::uint16_t>(header.subspan(6))} + 1;
      if (name_size > kMaxNameLength)
        throw corrupt("name of ", name_size, " bytes, allowed are ", kMaxNameLength);
      offset += kEntryHeaderBytes + name_size;
      if (offset > end) throw corrupt("entries reach beyond the listing's end at ", end);
      const std::string_view name = as_text(in.take(name_size));
      if (i < first_entry) continue;
      if (type == 0 || type > kFileTypes.size()) throw corrupt("entry type ", type);
      if (!is_valid_name(name)) throw corrupt("entry with the name ", base::printable(name));
      const bool is_last = i + 1 == count;
      const std::uint64_t next_cookie =
          is_last ? std::uint64_t{offset} << kCookieEntryBits
                  : std::uint64_t{run.listing_offset} << kCookieEntryBits | (i + 1);
      const SquashfsReader::Entry entry{
          name, kFileTypes[type - 1], std::uint64_t{inode_block} << 16 | inode_offset,
          static_cast<std::uint32_t>(inode_base + static_cast<std::uint32_t>(inode_delta)),
          next_cookie};
      if (!on_entry(entry)) return;
    }
    first_entry = 0;
  }
}

// Finds a listing offset on disk. Inflated blocks have unknown places, so this walks the chain of
// cached blocks; big directories remember where the runs of recent calls were.
DirectoryReader::RunPosition DirectoryReader::locate(const InodeRecord& directory,
                                                     std::uint32_t listing_offset) const {
  if (const auto known = resume_points_.find({directory.attributes.ref, listing_offset}))
    return {listing_offset, *known};
  MetadataCursor in = cursor_at(directory.listing);
  in.skip(listing_offset);
  return {listing_offset, in.position()};
}

void DirectoryReader::list(const InodeRecord& directory, std::uint64_t cookie,
                           const std::function<bool(const SquashfsReader::Entry&)>& visit) const {
  check_listing(directory);
  const std::uint64_t listing_offset = cookie >> kCookieEntryBits;
  const auto first_entry =
      static_cast<std::uint32_t>(cookie & ((std::uint64_t{1} << kCookieEntryBits) - 1));
  if (listing_offset >= directory.listing_size) return;
  const RunPosition from = listing_offset == 0
                               ? RunPosition{0, directory.listing}
                               : locate(directory, static_cast<std::uint32_t>(listing_offset));
  RunPosition last_run;
  walk(
      directory, from, first_entry, directory.listing_size,
      [&](const RunPosition& run) { last_run = run; }, visit);
  if (directory.listing_size > kMaxScannedListing && last_run.listing_offset != 0) {
    resume_points_.get({directory.attributes.ref, last_run.listing_offset},
                       [&] { return std::make_shared<const MetadataPosition>(last_run.place); });
  }
}

std::optional<InodeRef> DirectoryReader::find(const InodeRecord& directory,
                                              std::string_view name) const {
  check_listing(directory);
  RunPosition from{0, directory.listing};
  std::uint32_t end = directory.listing_size;
  std::string_view expected_first;
  std::shared_ptr<const Index> index;
  if (directory.listing_size > kMaxScannedListing) {
    index = indexes_.get(directory.attributes.ref, [&] {
      return std::make_shared<const Index>(directory.index_count > 0 ? stored_index(directory)
                                                                     : built_index(directory));
    });
    const auto after = std::upper_bound(
        index->begin(), index->end(), name,
        [](std::string_view wanted, const IndexEntry& entry) { return wanted < entry.first_name; });
    if (after != index->begin()) {
      from = std::prev(after)->run;
      expected_first = std::prev(after)->first_name;
    }
    if (after != index->end()) end = after->run.listing_offset;
  }
  // No early end at a greater name: an unsorted small directory still finds all its names, and the
  // kernel asks for an absent name once.
  std::optional<InodeRef> found;
  bool is_first = true;
  walk(directory, from, 0, end, nullptr, [&](const SquashfsReader::Entry& entry) {
    if (is_first && !expected_first.empty() && entry.name != expected_first) {
      throw tables_.image.corrupt("directory index of inode ", directory.attributes.inode_number,
                                  " points to ", base::printable(entry.name), " instead of ",
                                  base::printable(expected_first));
    }
    is_first = false;
    if (entry.name == name) found = entry.ref;
    return !found;
  });
  return found;
}

// The index that the writer stored behind the inode: one entry for about each metadata block.
DirectoryReader::Index DirectoryReader::stored_index(const InodeRecord& directory) const {
  MetadataCursor in = inode_table_cursor(tables_, directory.tail);
  Index index;
  for (std::uint32_t i = 0; i < directory.index_count; ++i) {
    const auto listing_offset = in.read<std::uint32_t>();
    const auto block = in.read<std::uint32_t>();
    const std::uint64_t name_size = std::uint64_t{in.read<std::uint32_t>()} + 1;
    const auto corrupt = [&](const auto&... parts) {
      return tables_.image.corrupt("directory index of inode ", directory.attributes.inode_number,
                                   ", entry ", i, ": ", parts...);
    };
    if (name_size > kMaxNameLength)
      throw corrupt("name of ", name_size, " bytes, allowed are ", kMaxNameLength);
    if (listing_offset >= directory.listing_size)
      throw corrupt("offset ", listing_offset, " in a listing of ", directory.listing_size);
    std::string name(as_text(in.take(name_size)));
    if (!index.empty() &&
        (name <= index.back().first_name || listing_offset <= index.back().run.listing_offset)) {
      throw corrupt("not in ascending order");
    }
    const MetadataPosition place{
        tables_.super.directory_table + block,
        static_cast<std::uint32_t>((std::uint64_t{directory.listing.offset} + listing_offset) %
                                   kMetadataBlockSize)};
    index.push_back({std::move(name), {listing_offset, place}});
  }
  return index;
}

// For a huge directory without an index (older tar2sqfs): the same, from one pass.
DirectoryReader::Index DirectoryReader::built_index(const InodeRecord& directory) const {
  Index index;
  RunPosition run;
  bool starts_run = false;
  std::string previous;
  walk(
      directory, {0, directory.listing}, 0, directory.listing_size,
      [&](const RunPosition& position) {
        run = position;
        starts_run = true;
      },
      [&](const SquashfsReader::Entry& entry) {
        if (entry.name <= previous) {
          throw tables_.image.corrupt("directory of inode ", directory.attributes.inode_number,
                                      ": entry ", base::printable(entry.name), " stands behind ",
                                      base::printable(previous));
        }
        previous = entry.name;
        if (starts_run && (index.empty() || run.listing_offset - index.back().run.listing_offset >=
                                                kMetadataBlockSize)) {
          index.push_back({previous, run});
        }
        starts_run = false;
        return true;
      });
  return index;
}

}  // namespace sif
