// SPDX-License-Identifier: Apache-2.0
#include "oci/layer.h"

#include <utility>

namespace oci {

Layer index_layer(const sif::DataSource& source, std::uint64_t size, std::string name) {
  TarReader reader(source, size, name);
  Layer layer{&source, std::move(name), {}};
  std::uint64_t extents = 0;
  while (std::optional<TarEntry> entry = reader.next()) {
    extents += entry->extents.size();
    if (layer.entries.size() == kMaxLayerEntries || extents > kMaxLayerExtents) {
      throw base::error(layer.name, ": more than ", kMaxLayerEntries, " members or ",
                        kMaxLayerExtents, " pieces of sparse files");
    }
    layer.entries.push_back(std::move(*entry));
  }
  return layer;
}

}  // namespace oci
