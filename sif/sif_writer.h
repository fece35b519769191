// SPDX-License-Identifier: Apache-2.0
// Writes a SIF container: text objects first, then one primary system partition that the caller
// writes in place.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "sif/sif_format.h"

namespace sif {

struct SifText {
  DataType data_type;  // definition_file or generic_json
  std::string name;    // at most 127 bytes
  std::string content;
};

struct SifLayout {
  std::string go_arch;
  std::array<std::uint8_t, 16> uuid{};
  std::int64_t created = 0;  // seconds since the epoch, also the modification time
  std::vector<SifText> texts;
};

// Offset at which the primary partition of this layout starts (a multiple of 4,096).
std::uint64_t partition_offset(const SifLayout& layout);

// Writes header, descriptors and texts around a partition of `partition_size` bytes already written
// at partition_offset(layout). Throws Error on I/O failure.
void write_sif_around_partition(int fd, const SifLayout& layout, std::uint64_t partition_size);

// The descriptor's own fields of a partition; `arch_code` as sif_arch_code() gives it.
std::string partition_fields(FileSystemType file_system, PartitionType type,
                             std::string_view arch_code);

// A container without objects, as `siftool new` makes it.
void write_empty_sif(int fd, std::span<const std::uint8_t, 16> uuid, std::int64_t created);

// One entry of the descriptor table.
struct SifObject {
  DataType type;
  std::uint32_t id, group = kGroupBit, link = 0;
  std::uint64_t offset, size, padding_before;
  std::int64_t created;
  std::string_view name;  // at most kMaxObjectName bytes
  std::span<const std::byte> extra;
};
inline constexpr std::size_t kMaxObjectName = 128;
void append_descriptor(base::ByteWriter& out, const SifObject& object);

}  // namespace sif
