// SPDX-License-Identifier: Apache-2.0
// A layer's index: every tar header of it, no data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "oci/tar_reader.h"
#include "sif/tree.h"

namespace oci {

inline constexpr std::uint64_t kMaxLayerEntries = 8'000'000;
inline constexpr std::uint64_t kMaxLayerExtents = 16'000'000;  // sparse files need several each

struct Layer {
  const sif::DataSource* source = nullptr;  // uncompressed tar; outlives the merged tree
  std::string name;                         // for messages
  std::vector<TarEntry> entries;            // in archive order
};

// Reads the headers of the tar archive of `size` bytes; throws Error naming layer, member and
// offset.
Layer index_layer(const sif::DataSource& source, std::uint64_t size, std::string name);

}  // namespace oci
