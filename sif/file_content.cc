// SPDX-License-Identifier: Apache-2.0
#include "sif/file_content.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace sif {
namespace {

// The first extent that ends behind `offset`. Binary search: a sparse file may have a million
// extents.
auto first_extent_behind(const Inode& file, std::uint64_t offset) {
  return std::partition_point(
      file.extents.begin(), file.extents.end(),
      [offset](const DataExtent& e) { return e.file_offset + e.length <= offset; });
}

}  // namespace

void read_content(const Inode& file, std::uint64_t offset, std::span<std::byte> out) {
  for (auto extent = first_extent_behind(file, offset); !out.empty(); ++extent) {
    const std::uint64_t next =
        extent == file.extents.end() ? offset + out.size() : std::max(extent->file_offset, offset);
    const std::size_t zeros =
        static_cast<std::size_t>(std::min<std::uint64_t>(next - offset, out.size()));
    if (zeros != 0) std::memset(out.data(), 0, zeros);
    out = out.subspan(zeros);
    offset += zeros;
    if (out.empty()) return;

    const std::uint64_t skip = offset - extent->file_offset;
    const std::size_t count =
        static_cast<std::size_t>(std::min<std::uint64_t>(extent->length - skip, out.size()));
    file.source->read_at(extent->source_offset + skip, out.first(count));
    out = out.subspan(count);
    offset += count;
  }
}

bool is_hole(const Inode& file, std::uint64_t offset, std::uint64_t length) {
  const auto extent = first_extent_behind(file, offset);
  return extent == file.extents.end() || extent->file_offset >= offset + length;
}

bool all_zeros(std::span<const std::byte> data) {
  return data.front() == std::byte{0} &&
         std::memcmp(data.data(), data.data() + 1, data.size() - 1) == 0;
}

bool has_holes(const Inode& file) {
  std::uint64_t covered = 0;
  for (const DataExtent& extent : file.extents) covered += extent.length;
  return covered < file.size;
}

}  // namespace sif
