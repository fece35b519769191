// SPDX-License-Identifier: Apache-2.0
// What siftool calls the numbers of the format.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "sif/sif_format.h"

namespace sif {

// "Unknown" for numbers that have no name.
std::string_view name_of(DataType type);
std::string_view name_of(FileSystemType type);
std::string_view name_of(PartitionType type);
std::string_view hash_name(std::int32_t number);
std::string_view sbom_format_name(std::int32_t number);
std::string_view message_format_name(std::int32_t number);
std::string_view message_type_name(std::int32_t number);

std::optional<std::int32_t> find_sbom_format(std::string_view name);

}  // namespace sif
