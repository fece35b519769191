// SPDX-License-Identifier: Apache-2.0
// Extended attributes of a squashfs image, values stored elsewhere (out of line) included.
// Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sif/inode_reader.h"

namespace sif {

// Linux: XATTR_SIZE_MAX and XATTR_LIST_MAX.
inline constexpr std::uint32_t kMaxXattrValue = 65536;
inline constexpr std::uint32_t kMaxXattrNames = 65536;
inline constexpr std::uint32_t kMaxXattrBytes = 4 << 20;  // of one inode

class XattrReader {
 public:
  explicit XattrReader(const ImageTables& tables);

  bool has_any() const { return count_ > 0; }
  std::vector<std::pair<std::string, std::string>> read(std::uint32_t xattr_index) const;

 private:
  MetadataCursor value_cursor(std::uint64_t reference) const;
  std::string read_value(MetadataCursor& in, bool out_of_line) const;

  const ImageTables& tables_;
  std::uint64_t values_start_ = 0;  // of the keys and values
  std::uint64_t values_end_ = 0;
  std::uint32_t count_ = 0;
  std::vector<std::uint64_t> index_;
};

}  // namespace sif
