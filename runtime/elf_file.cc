// SPDX-License-Identifier: Apache-2.0
#include "runtime/elf_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <span>

#include "base/bytes.h"
#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"

namespace runtime {
namespace {

constexpr std::size_t kMaxProgramHeaders = 128;
constexpr std::size_t kMaxDynamic = 64 << 10;       // bytes of PT_DYNAMIC
constexpr std::size_t kMaxVersionTable = 64 << 10;  // bytes looked at, of each of the two tables
constexpr std::size_t kMaxVersions = 4096;
constexpr std::size_t kMaxNeeded = 512;
constexpr std::size_t kMaxName = 4096;  // of a path or name
constexpr std::size_t kStringWindow = 64 << 10;

constexpr std::uint32_t kProgramLoad = 1, kProgramDynamic = 2, kProgramInterpreter = 3;
enum Tag : std::uint64_t {
  kNeeded = 1,
  kStringTable = 5,
  kStringSize = 10,
  kSoname = 14,
  kRpath = 15,
  kRunpath = 29,
  kVersionDefinitions = 0x6ffffffc,
  kVersionDefinitionCount = 0x6ffffffd,
  kVersionNeeds = 0x6ffffffe,
  kVersionNeedCount = 0x6fffffff,
};

struct Segment {
  std::uint32_t type = 0;
  std::uint64_t offset = 0, address = 0, size = 0;
};

struct Dynamic {
  std::vector<std::uint64_t> needed;
  std::uint64_t strings = 0, string_size = 0;
  std::optional<std::uint64_t> soname, rpath, runpath, definitions, needs;
  std::uint64_t definition_count = 0, need_count = 0;
};

class Parser {
 public:
  explicit Parser(int fd) : fd_(fd) {}
  // False if the bytes are no ELF file that this reads.
  bool parse_header();
  ElfFile parse();

 private:
  std::vector<std::byte> read(std::uint64_t offset, std::size_t size, bool whole = true) const;
  std::uint64_t word(base::ByteReader& reader) const {
    return file_.is_64 ? reader.read<std::uint64_t>() : reader.read<std::uint32_t>();
  }
  Segment segment(base::ByteReader& reader) const;
  std::uint64_t file_offset(std::uint64_t address) const;
  Dynamic dynamic(const Segment& segment) const;
  void load_strings(const Dynamic& dynamic);
  std::string string(std::uint64_t offset) const;
  void read_needs(const Dynamic& dynamic);
  void read_definitions(const Dynamic& dynamic);

  int fd_;
  ElfFile file_;
  std::vector<Segment> segments_;
  std::uint64_t string_offset_ = 0, string_size_ = 0;
  std::vector<std::byte> strings_;  // the front of the string table
};

std::vector<std::byte> Parser::read(std::uint64_t offset, std::size_t size, bool whole) const {
  if (offset > INT64_MAX - size) throw base::error("offset ", offset, " is out of range");
  std::vector<std::byte> bytes(size);
  if (whole) {
    base::pread_exactly(fd_, bytes, offset, "ELF file");
  } else {
    bytes.resize(base::pread_up_to(fd_, bytes, offset, "ELF file"));
  }
  return bytes;
}

bool Parser::parse_header() {
  std::array<std::byte, 64> header{};
  const std::size_t size = base::pread_up_to(fd_, header, 0, "ELF file");
  if (size < 52) return false;
  base::ByteReader reader(std::span<const std::byte>(header).first(size), "ELF header");
  const std::string_view magic(
      "\x7f"
      "ELF");
  if (reader.text(4) != magic) return false;
  const auto file_class = reader.read<std::uint8_t>();
  const auto byte_order = reader.read<std::uint8_t>();
  if ((file_class != 1 && file_class != 2) || byte_order != 1) return false;
  file_.is_64 = file_class == 2;
  reader.skip(12);  // version, ABI, padding, e_type
  file_.machine = reader.read<std::uint16_t>();
  reader.skip(4);
  word(reader);  // entry
  const std::uint64_t table = word(reader);
  word(reader);  // section headers
  reader.skip(6);
  const auto entry_size = reader.read<std::uint16_t>();
  const auto count = reader.read<std::uint16_t>();
  if (entry_size != (file_.is_64 ? 56 : 32) || count > kMaxProgramHeaders) return count == 0;
  const std::vector<std::byte> bytes = read(table, std::size_t{entry_size} * count);
  base::ByteReader entries(bytes, "program header");
  for (unsigned i = 0; i < count; ++i) segments_.push_back(segment(entries));
  return true;
}

Segment Parser::segment(base::ByteReader& reader) const {
  Segment out;
  out.type = reader.read<std::uint32_t>();
  if (file_.is_64) reader.skip(4);  // flags stand here in 64-bit files
  out.offset = word(reader);
  out.address = word(reader);
  word(reader);  // physical address
  out.size = word(reader);
  word(reader);  // size in memory
  if (!file_.is_64) reader.skip(4);
  word(reader);  // alignment
  return out;
}

std::uint64_t Parser::file_offset(std::uint64_t address) const {
  for (const Segment& segment : segments_) {
    if (segment.type == kProgramLoad && address >= segment.address &&
        address - segment.address < segment.size)
      return segment.offset + (address - segment.address);
  }
  throw base::error("ELF address ", address, " is in no segment");
}

Dynamic Parser::dynamic(const Segment& segment) const {
  const std::size_t size = std::min<std::uint64_t>(segment.size, kMaxDynamic);
  const std::vector<std::byte> bytes = read(segment.offset, size);
  base::ByteReader reader(bytes, "ELF dynamic section");
  Dynamic out;
  const std::size_t entry_size = file_.is_64 ? 16 : 8;
  while (reader.remaining() >= entry_size) {
    const std::uint64_t tag = word(reader);
    const std::uint64_t value = word(reader);
    if (tag == 0) break;
    if (tag == kNeeded && out.needed.size() < kMaxNeeded) out.needed.push_back(value);
    if (tag == kStringTable) out.strings = value;
    if (tag == kStringSize) out.string_size = value;
    if (tag == kSoname) out.soname = value;
    if (tag == kRpath) out.rpath = value;
    if (tag == kRunpath) out.runpath = value;
    if (tag == kVersionDefinitions) out.definitions = value;
    if (tag == kVersionDefinitionCount) out.definition_count = value;
    if (tag == kVersionNeeds) out.needs = value;
    if (tag == kVersionNeedCount) out.need_count = value;
  }
  return out;
}

void Parser::load_strings(const Dynamic& dynamic) {
  string_offset_ = file_offset(dynamic.strings);
  string_size_ = dynamic.string_size;
  strings_ = read(string_offset_, std::min<std::uint64_t>(string_size_, kStringWindow), false);
}

std::string Parser::string(std::uint64_t offset) const {
  if (offset >= string_size_) throw base::error("ELF string at ", offset, " is out of its table");
  const std::size_t size = std::min<std::uint64_t>(string_size_ - offset, kMaxName);
  if (offset + size <= strings_.size()) {
    base::ByteReader reader(std::span<const std::byte>(strings_).subspan(offset, size),
                            "ELF string table");
    return reader.text(size);
  }
  const std::vector<std::byte> bytes = read(string_offset_ + offset, size, false);
  base::ByteReader reader(bytes, "ELF string table");
  return reader.text(bytes.size());
}

// Both version tables are chains of records: the offset of the next is in the record.
void Parser::read_needs(const Dynamic& dynamic) {
  const std::vector<std::byte> table = read(file_offset(*dynamic.needs), kMaxVersionTable, false);
  const std::span<const std::byte> bytes(table);
  std::size_t position = 0;
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(dynamic.need_count, kMaxVersions); ++i) {
    base::ByteReader record(bytes.subspan(std::min(position, bytes.size())), "ELF version need");
    record.skip(2);
    const auto count = record.read<std::uint16_t>();
    const std::string library = string(record.read<std::uint32_t>());
    std::size_t entry_position = position + record.read<std::uint32_t>();
    const auto next = record.read<std::uint32_t>();
    for (unsigned j = 0; j < count; ++j) {
      if (file_.version_needs.size() == kMaxVersions) return;
      base::ByteReader entry(bytes.subspan(std::min(entry_position, bytes.size())),
                             "ELF version need");
      entry.skip(8);
      file_.version_needs.push_back({library, string(entry.read<std::uint32_t>())});
      const auto entry_next = entry.read<std::uint32_t>();
      if (entry_next == 0) break;
      entry_position += entry_next;
    }
    if (next == 0) break;
    position += next;
  }
}

void Parser::read_definitions(const Dynamic& dynamic) {
  const std::vector<std::byte> table =
      read(file_offset(*dynamic.definitions), kMaxVersionTable, false);
  const std::span<const std::byte> bytes(table);
  std::size_t position = 0;
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(dynamic.definition_count, kMaxVersions);
       ++i) {
    base::ByteReader record(bytes.subspan(std::min(position, bytes.size())),
                            "ELF version definition");
    record.skip(12);
    const std::size_t name_position = position + record.read<std::uint32_t>();
    const auto next = record.read<std::uint32_t>();
    base::ByteReader name(bytes.subspan(std::min(name_position, bytes.size())),
                          "ELF version definition");
    file_.version_definitions.push_back(string(name.read<std::uint32_t>()));
    if (next == 0) break;
    position += next;
  }
}

ElfFile Parser::parse() {
  for (const Segment& segment : segments_) {
    if (segment.type != kProgramInterpreter) continue;
    const std::vector<std::byte> bytes =
        read(segment.offset, std::min<std::uint64_t>(segment.size, kMaxName));
    base::ByteReader reader(bytes, "ELF interpreter");
    file_.interpreter = reader.text(bytes.size());
    break;
  }
  const auto found = std::ranges::find(segments_, kProgramDynamic, &Segment::type);
  if (found == segments_.end()) return std::move(file_);
  const Dynamic section = dynamic(*found);
  if (section.strings == 0) return std::move(file_);
  load_strings(section);
  for (const std::uint64_t offset : section.needed) file_.needed.push_back(string(offset));
  if (section.soname) file_.soname = string(*section.soname);
  if (section.rpath) file_.rpath = string(*section.rpath);
  if (section.runpath) file_.runpath = string(*section.runpath);
  if (section.needs) read_needs(section);
  if (section.definitions) read_definitions(section);
  return std::move(file_);
}

template <typename Names, typename Projection>
GlibcVersion highest(const Names& names, Projection projection) {
  GlibcVersion best;
  for (const auto& name : names)
    best = std::max(best, parse_glibc_version(projection(name)).value_or(GlibcVersion{}));
  return best;
}

}  // namespace

std::optional<ElfFile> find_elf(int fd) {
  // The bytes reader throws where the file ends too early; damage is an answer here, not a failure.
  try {
    Parser parser(fd);
    if (!parser.parse_header()) return std::nullopt;
    return parser.parse();
  } catch (const base::Error&) {
    return std::nullopt;
  }
}

std::optional<ElfFile> find_elf(const RootTree& tree, std::string_view path) {
  const std::optional<base::UniqueFd> fd = tree.open(path);
  return fd ? find_elf(fd->get()) : std::nullopt;
}

std::string GlibcVersion::text() const { return base::cat(major, ".", minor); }

std::optional<GlibcVersion> parse_glibc_version(std::string_view name) {
  constexpr std::string_view kPrefix = "GLIBC_";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  GlibcVersion out;
  const char* const end = name.data() + name.size();
  const std::from_chars_result first = std::from_chars(name.data(), end, out.major);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '.') return std::nullopt;
  // "2.2.5" is of the 2.2 series.
  const std::from_chars_result second = std::from_chars(first.ptr + 1, end, out.minor);
  if (second.ec != std::errc() || (second.ptr != end && *second.ptr != '.')) return std::nullopt;
  return out;
}

GlibcVersion needed_glibc(const ElfFile& file) {
  return highest(file.version_needs, [](const ElfVersionNeed& need) { return need.version; });
}

GlibcVersion defined_glibc(const ElfFile& file) {
  return highest(file.version_definitions, [](const std::string& name) { return name; });
}

}  // namespace runtime
