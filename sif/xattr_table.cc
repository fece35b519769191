// SPDX-License-Identifier: Apache-2.0
#include "sif/xattr_table.h"

#include <vector>

#include "base/bytes.h"
#include "sif/squashfs_format.h"

namespace sif {
namespace {

// The ID of the name's prefix; kXattrPrefixes.size() if squashfs has none for it.
std::size_t prefix_id(std::string_view name) {
  std::size_t id = 0;
  while (id < kXattrPrefixes.size() && !name.starts_with(kXattrPrefixes[id])) ++id;
  return id;
}

}  // namespace

bool can_hold_xattr(std::string_view name) {
  const std::size_t id = prefix_id(name);
  return id < kXattrPrefixes.size() && name.size() > kXattrPrefixes[id].size() &&
         name.size() <= kMaxXattrName && name.find('\0') == name.npos;
}

XattrSet pack_xattrs(const std::map<std::string, std::string>& xattrs) {
  base::ByteWriter out;
  for (const auto& [name, value] : xattrs) {
    const std::size_t id = prefix_id(name);
    const std::string_view rest = std::string_view(name).substr(kXattrPrefixes[id].size());
    out.write(static_cast<std::uint16_t>(id));
    out.write(static_cast<std::uint16_t>(rest.size()));
    out.text(rest, rest.size());
    out.write(static_cast<std::uint32_t>(value.size()));
    out.text(value, value.size());
  }
  const std::vector<std::byte>& bytes = out.bytes();
  return {std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
          static_cast<std::uint32_t>(xattrs.size())};
}

}  // namespace sif
