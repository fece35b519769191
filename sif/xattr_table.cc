// SPDX-License-Identifier: Apache-2.0
#include "sif/xattr_table.h"

#include <array>
#include <optional>

#include "base/bytes.h"

namespace sif {
namespace {

constexpr std::size_t kMaxXattrName = 255;  // Linux XATTR_NAME_MAX, prefix included

struct NameSpace {
  std::string_view prefix;
  std::uint16_t id;
};
constexpr std::array kNameSpaces = {NameSpace{"user.", 0}, NameSpace{"trusted.", 1},
                                    NameSpace{"security.", 2}};

const NameSpace* find_name_space(std::string_view name) {
  for (const NameSpace& each : kNameSpaces)
    if (name.starts_with(each.prefix)) return &each;
  return nullptr;
}

}  // namespace

bool can_hold_xattr(std::string_view name) {
  const NameSpace* space = find_name_space(name);
  return space != nullptr && name.size() > space->prefix.size() && name.size() <= kMaxXattrName &&
         name.find('\0') == name.npos;
}

XattrSet pack_xattrs(const std::map<std::string, std::string>& xattrs) {
  base::ByteWriter out;
  for (const auto& [name, value] : xattrs) {
    const NameSpace& space = *find_name_space(name);
    const std::string_view rest = std::string_view(name).substr(space.prefix.size());
    out.write(space.id);
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
