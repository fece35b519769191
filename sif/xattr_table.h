// SPDX-License-Identifier: Apache-2.0
// Extended attributes in the form that squashfs stores: a set of name and value records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace sif {

struct XattrSet {
  std::string bytes;  // the set's name and value records as stored
  std::uint32_t count;
};

// Whether squashfs has a place for an attribute of this name.
bool can_hold_xattr(std::string_view name);

// The records of a set in the format's form. All names satisfy can_hold_xattr.
XattrSet pack_xattrs(const std::map<std::string, std::string>& xattrs);

}  // namespace sif
