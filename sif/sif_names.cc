// SPDX-License-Identifier: Apache-2.0
#include "sif/sif_names.h"

#include <algorithm>
#include <array>
#include <span>

namespace sif {
namespace {

struct NameRow {
  std::int32_t number;
  std::string_view name;
};

constexpr auto kDataTypes = std::to_array<NameRow>({{0x4001, "Def.FILE"},
                                                    {0x4002, "Env.Vars"},
                                                    {0x4003, "JSON.Labels"},
                                                    {0x4004, "FS"},
                                                    {0x4005, "Signature"},
                                                    {0x4006, "JSON.Generic"},
                                                    {0x4007, "Generic/Raw"},
                                                    {0x4008, "Cryptographic Message"},
                                                    {0x4009, "SBOM"},
                                                    {0x400A, "OCI.RootIndex"},
                                                    {0x400B, "OCI.Blob"}});
constexpr auto kFileSystems = std::to_array<NameRow>({{1, "Squashfs"},
                                                      {2, "Ext3"},
                                                      {3, "Archive"},
                                                      {4, "Raw"},
                                                      {5, "Encrypted squashfs"},
                                                      {6, "Gocryptfs squashfs"}});
constexpr auto kPartitions =
    std::to_array<NameRow>({{1, "System"}, {2, "*System"}, {3, "Data"}, {4, "Overlay"}});
constexpr auto kHashes = std::to_array<NameRow>(
    {{1, "SHA-256"}, {2, "SHA-384"}, {3, "SHA-512"}, {4, "BLAKE2s-256"}, {5, "BLAKE2b-256"}});
constexpr auto kSbomFormats = std::to_array<NameRow>({{1, "cyclonedx-json"},
                                                      {2, "cyclonedx-xml"},
                                                      {3, "github-json"},
                                                      {4, "spdx-json"},
                                                      {5, "spdx-rdf"},
                                                      {6, "spdx-tag-value"},
                                                      {7, "spdx-yaml"},
                                                      {8, "syft-json"}});
constexpr auto kMessageFormats = std::to_array<NameRow>({{1, "OpenPGP"}, {2, "PEM"}});
constexpr auto kMessageTypes =
    std::to_array<NameRow>({{0x100, "Clear Signature"}, {0x200, "RSA-OAEP"}});

std::string_view find_name(std::span<const NameRow> rows, std::int32_t number) {
  const auto row = std::ranges::find(rows, number, &NameRow::number);
  return row == rows.end() ? "Unknown" : row->name;
}

}  // namespace

std::string_view name_of(DataType type) {
  return find_name(kDataTypes, static_cast<std::int32_t>(type));
}
std::string_view name_of(FileSystemType type) {
  return find_name(kFileSystems, static_cast<std::int32_t>(type));
}
std::string_view name_of(PartitionType type) {
  return find_name(kPartitions, static_cast<std::int32_t>(type));
}
std::string_view hash_name(std::int32_t number) { return find_name(kHashes, number); }
std::string_view sbom_format_name(std::int32_t number) { return find_name(kSbomFormats, number); }
std::string_view message_format_name(std::int32_t number) {
  return find_name(kMessageFormats, number);
}
std::string_view message_type_name(std::int32_t number) { return find_name(kMessageTypes, number); }

std::optional<std::int32_t> find_sbom_format(std::string_view name) {
  const auto* row = std::ranges::find(kSbomFormats, name, &NameRow::name);
  if (row == kSbomFormats.end()) return std::nullopt;
  return row->number;
}

}  // namespace sif
