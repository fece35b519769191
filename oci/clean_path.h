// SPDX-License-Identifier: Apache-2.0
// A path of an archive reduced by its text alone, before any link is followed.
#pragma once

#include <string>
#include <string_view>

namespace oci {

struct CleanPath {
  std::string text;      // relative to the root, empty for the root itself
  bool escapes = false;  // a relative path climbs out with ".."; text is of no use then
};

// "./a//b" -> "a/b", as Go's filepath.Join("/", name) does it.
CleanPath clean_path(std::string_view name);

}  // namespace oci
