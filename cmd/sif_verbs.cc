// SPDX-License-Identifier: Apache-2.0
// sif: what siftool does, in its words: header, list, info, dump, new, add, del, setprim.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/output.h"
#include "base/output_file.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "cmd/sif_listing.h"
#include "cmd/verbs.h"
#include "oci/digest.h"
#include "sif/sif_editor.h"
#include "sif/sif_names.h"
#include "sif/sif_reader.h"
#include "sif/sif_writer.h"

namespace cmd {
namespace {

using enum OptionKind;

constexpr std::size_t kEntitySize = 256;
constexpr std::size_t kPieceSize = 1 << 20;
constexpr std::int32_t kFirstDataType = 0x4000;

// clang-format off
constexpr auto kAddTable = std::to_array<OptionRow>({
    {.name = "datatype", .kind = text, .value = "NUMBER",
     .help = "1 definition file, 2 environment, 3 labels, 4 partition, 5 signature, 6 JSON, 7 generic, "
             "8 cryptographic message, 9 SBOM, 10 OCI root index, 11 OCI blob; required"},
    {.name = "filename", .kind = text, .value = "NAME", .help = "name of the object"},
    {.name = "groupid", .kind = text, .value = "NUMBER", .help = "group of the object; 0: none"},
    {.name = "link", .kind = text, .value = "NUMBER", .help = "object that it belongs to; 0: none"},
    {.name = "alignment", .kind = text, .value = "NUMBER", .help = "of its place (partitions: 4096)"},
    {.name = "partfs", .kind = text, .value = "NUMBER",
     .help = "partitions: 1 squashfs, 2 ext3, 3 archive, 4 raw"},
    {.name = "parttype", .kind = text, .value = "NUMBER",
     .help = "partitions: 1 system, 2 primary system, 3 data, 4 overlay"},
    {.name = "partarch", .kind = text, .value = "NUMBER",
     .help = "partitions: 1 386, 2 amd64, 3 arm, 4 arm64, 5 ppc64, 6 ppc64le, 7 mips, 8 mipsle, "
             "9 mips64, 10 mips64le, 11 s390x, 12 riscv64"},
    {.name = "signhash", .kind = text, .value = "NUMBER",
     .help = "signatures: 1 SHA256, 2 SHA384, 3 SHA512, 4 BLAKE2s, 5 BLAKE2b"},
    {.name = "signentity", .kind = text, .value = "HEX", .help = "signatures: the key's fingerprint"},
    {.name = "sbomformat", .kind = text, .value = "NAME",
     .help = "SBOMs: cyclonedx-json, cyclonedx-xml, github-json, spdx-json, spdx-rdf, "
             "spdx-tag-value, spdx-yaml, syft-json"},
    {.name = "help", .letter = 'h', .help = "this text"},
});
constexpr auto kPlainTable = std::to_array<OptionRow>({
    {.name = "help", .letter = 'h', .help = "this text"},
});
// clang-format on

std::uint32_t number_of(const ParsedOptions& parsed, std::string_view option) {
  const auto& text = parsed.text(option);
  if (!text) return 0;
  const std::optional<std::int64_t> number = find_integer(*text);
  if (!number || !std::in_range<std::uint32_t>(*number))
    throw base::error("--", option, " ", base::printable(*text), " is no number");
  return static_cast<std::uint32_t>(*number);
}

std::string fields_of_partition(const ParsedOptions& parsed) {
  const std::uint32_t file_system = number_of(parsed, "partfs");
  const std::uint32_t partition = number_of(parsed, "parttype");
  const std::uint32_t arch = number_of(parsed, "partarch");
  if (file_system == 0 || partition == 0 || arch == 0)
    throw base::error(
        "with partition datatype, --partfs, --parttype and --partarch must be passed");
  std::string code = arch < 10 ? base::cat("0", arch) : base::cat(arch);
  if (sif::go_arch_of_code(code).empty()) throw base::error("unknown architecture ", arch);
  return sif::partition_fields(static_cast<sif::FileSystemType>(file_system),
                               static_cast<sif::PartitionType>(partition), code);
}

std::string bytes_of_hex(std::string_view digits) {
  std::string bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    unsigned value = 0;
    const char* const end = digits.data() + i + 2;
    if (i + 2 > digits.size() || std::from_chars(digits.data() + i, end, value, 16).ptr != end)
      throw base::error("failed to decode signing entity fingerprint ", base::printable(digits));
    bytes += static_cast<char>(value);
  }
  return bytes;
}

std::string fields_of_signature(const ParsedOptions& parsed) {
  const auto hash = static_cast<std::int32_t>(number_of(parsed, "signhash"));
  if (sif::hash_name(hash) == "Unknown") throw base::error("invalid hash type: ", hash);
  const std::string entity = bytes_of_hex(parsed.text("signentity").value_or(""));
  if (entity.size() != sif::kFingerprintSize)
    throw base::error("invalid signing entity fingerprint length: got ", entity.size(), ", want ",
                      sif::kFingerprintSize);
  base::ByteWriter out;
  out.write(hash);
  out.text(entity, kEntitySize);
  return out.string();
}

std::string fields_of_sbom(const ParsedOptions& parsed) {
  const auto& name = parsed.text("sbomformat");
  if (!name) throw base::error("with SBOM datatype, --sbomformat must be passed");
  const std::optional<std::int32_t> format = sif::find_sbom_format(*name);
  if (!format) throw base::error("invalid SBOM format: ", base::printable(*name));
  base::ByteWriter out;
  out.write(*format);
  return out.string();
}

struct FieldsRow {
  sif::DataType type;
  std::string (*fields)(const ParsedOptions& parsed);
};
constexpr auto kFields = std::to_array<FieldsRow>({
    {sif::DataType::partition, fields_of_partition},
    {sif::DataType::signature, fields_of_signature},
    {sif::DataType::sbom, fields_of_sbom},
});

sif::NewObject new_object(const ParsedOptions& parsed) {
  const std::uint32_t number = number_of(parsed, "datatype");
  sif::NewObject object;
  object.type = static_cast<sif::DataType>(kFirstDataType + number);
  if (number == 0 || sif::name_of(object.type) == "Unknown")
    throw base::error("-datatype flag is required with a valid range");
  if (object.type == sif::DataType::partition) object.alignment = sif::kPartitionAlignment;
  if (const std::uint32_t alignment = number_of(parsed, "alignment")) object.alignment = alignment;
  object.group = number_of(parsed, "groupid") | sif::kGroupBit;
  object.link = number_of(parsed, "link");
  object.name = parsed.text("filename").value_or("");
  const auto* row = std::ranges::find(kFields, object.type, &FieldsRow::type);
  if (row != kFields.end()) object.extra = row->fields(parsed);
  return object;
}

// OCI objects are known by their digest.
std::string digest_of_file(int fd, const std::string& name) {
  oci::Sha256 hash;
  std::vector<std::byte> piece(kPieceSize);
  for (std::uint64_t offset = 0;;) {
    const std::size_t count = base::pread_up_to(fd, piece, offset, name);
    hash.update(std::span(piece).first(count));
    offset += count;
    if (count < piece.size()) return hash.digest();
  }
}

void add_object(const ParsedOptions& parsed) {
  sif::NewObject object = new_object(parsed);
  const std::string& path = parsed.positionals()[1];
  if (base::is_same_file(path, parsed.positionals()[0]))  // it would never come to its end
    throw base::error("cannot add ", base::printable(path), " to itself");
  const base::UniqueFd content = base::open_file(path, O_RDONLY);
  if (object.type == sif::DataType::oci_root_index || object.type == sif::DataType::oci_blob)
    object.extra = digest_of_file(content.get(), base::printable(path));
  sif::SifEditor(parsed.positionals()[0]).add(object, content.get(), base::printable(path));
}

void make_new(const ParsedOptions& parsed) {
  base::AtomicOutputFile file(parsed.positionals()[0], 0755, base::Existing::replace);
  sif::write_empty_sif(file.fd(), base::random_uuid(), ::time(nullptr));
  file.commit();
}

// Decimal, as siftool takes it.
std::uint32_t id_of(const ParsedOptions& parsed) {
  const std::string& text = parsed.positionals()[0];
  const auto number = base::find_number<std::uint32_t>(text);
  if (!number) throw base::error("object id ", base::printable(text), " is no number");
  return *number;
}

void print_header(const ParsedOptions& parsed) {
  base::print(sif_header_text(sif::open_sif(parsed.positionals()[0]).container));
}

void print_list(const ParsedOptions& parsed) {
  base::print(sif_list_text(sif::open_sif(parsed.positionals()[0]).container));
}

void print_info(const ParsedOptions& parsed) {
  const sif::SifFile file = sif::open_sif(parsed.positionals()[1]);
  base::print(sif_info_text(sif::get_object(file.container, id_of(parsed))));
}

void dump_object(const ParsedOptions& parsed) {
  const sif::SifFile file = sif::open_sif(parsed.positionals()[1]);
  const sif::SifDescriptor& object = sif::get_object(file.container, id_of(parsed));
  std::vector<std::byte> piece(kPieceSize);
  for (std::uint64_t done = 0; done < object.size;) {
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), object.size - done));
    const std::span bytes = std::span(piece).first(size);
    base::pread_exactly(file.fd.get(), bytes, object.offset + done, file.name);
    base::write_all(STDOUT_FILENO, bytes, "standard output");
    done += size;
  }
}

void delete_object(const ParsedOptions& parsed) {
  sif::SifEditor(parsed.positionals()[1]).remove(id_of(parsed));
}

void set_primary(const ParsedOptions& parsed) {
  sif::SifEditor(parsed.positionals()[1]).set_primary(id_of(parsed));
}

struct SifRow {
  std::string_view name, arguments;
  std::size_t argument_count;
  void (*run)(const ParsedOptions& parsed);
  std::string_view help;
};
constexpr auto kRows = std::to_array<SifRow>({
    {"header", "FILE", 1, print_header, "show the global header"},
    {"list", "FILE", 1, print_list, "list the objects"},
    {"info", "ID FILE", 2, print_info, "show an object's descriptor"},
    {"dump", "ID FILE", 2, dump_object, "write an object to standard output"},
    {"new", "FILE", 1, make_new, "make a SIF without objects"},
    {"add", "FILE OBJECT_FILE", 2, add_object, "add an object"},
    {"del", "ID FILE", 2, delete_object, "remove an object"},
    {"setprim", "ID FILE", 2, set_primary, "choose the partition to run from"},
});

int print_sif_help(const Invocation& invocation) {
  base::print("Usage: ", invocation.program(), " sif COMMAND [options] ...\n\nCommands:\n");
  for (const SifRow& row : kRows) base::print("  ", base::padded(row.name, 10), row.help, "\n");
  return EXIT_SUCCESS;
}

}  // namespace

int run_sif_verb(const Invocation& invocation) {
  survive_file_size_limit();
  const auto words = invocation.arguments();
  const auto* row = words.empty() ? kRows.end() : std::ranges::find(kRows, words[0], &SifRow::name);
  if (row == kRows.end()) {
    // As with siftool a wrong option is a mistake, and a wrong command asks for help.
    if (!words.empty() && words[0][0] == '-') invocation.parse(kPlainTable);
    return print_sif_help(invocation);
  }
  const auto table = row->run == add_object ? std::span<const OptionRow>(kAddTable) : kPlainTable;
  // The documented form has the options last.
  const ParsedOptions parsed = parse_options(table, words.subspan(1), {}, Ordering::mixed);
  if (parsed.flag("help")) {
    base::print("Usage: ", invocation.program(), " sif ", row->name, " [options] ", row->arguments,
                "\n\n", options_help(table));
    return EXIT_SUCCESS;
  }
  if (parsed.positionals().size() != row->argument_count) {
    invocation.throw_usage(base::cat("accepts ", row->argument_count, " arg(s), received ",
                                     parsed.positionals().size()));
  }
  row->run(parsed);
  return EXIT_SUCCESS;
}

}  // namespace cmd
