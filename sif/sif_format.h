// SPDX-License-Identifier: Apache-2.0
// The Singularity Image Format, version 01: global header and descriptors. Source: the sif
// repository of Apptainer (pkg/sif/sif.go); all integers little-endian, structures packed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sif {

inline constexpr std::string_view kLaunchLine = "#!/usr/bin/env run-singularity\n";
inline constexpr std::uint32_t kHeaderSize = 128;
inline constexpr std::uint32_t kDescriptorSize = 585;
inline constexpr std::uint32_t kDescriptorCount = 48;
inline constexpr std::uint64_t kDescriptorTableOffset = 4096;
inline constexpr std::uint32_t kExtraSize = 384;  // of a descriptor, at its end: fields of its type
inline constexpr std::uint32_t kFingerprintSize = 20;  // of a signature's entity
inline constexpr std::uint64_t kDataOffset = 32176;    // 4096 + 48 * 585
inline constexpr std::uint64_t kPartitionAlignment = 4096;
inline constexpr std::uint32_t kGroupBit = 0xF0000000;
inline constexpr std::uint64_t kMaxDescriptors =
    65536;  // what the reader accepts of a foreign image

enum class DataType : std::int32_t {
  definition_file = 0x4001,
  environment = 0x4002,
  labels = 0x4003,
  partition = 0x4004,
  signature = 0x4005,
  generic_json = 0x4006,
  generic = 0x4007,
  crypto_message = 0x4008,
  sbom = 0x4009,
  oci_root_index = 0x400A,
  oci_blob = 0x400B
};
enum class FileSystemType : std::int32_t {
  squashfs = 1,
  ext3 = 2,
  archive = 3,
  raw = 4,
  encrypted_squashfs = 5,
  gocryptfs_squashfs = 6
};
enum class PartitionType : std::int32_t { system = 1, primary_system = 2, data = 3, overlay = 4 };

// Two ASCII digits of the header and the partition descriptor for a GOARCH name ("amd64" -> "02");
// "00" when unknown.
std::string_view sif_arch_code(std::string_view go_arch);
std::string_view go_arch_of_code(std::string_view code);  // empty when unknown
// GOARCH name of this program's machine.
std::string_view host_go_arch();

}  // namespace sif
