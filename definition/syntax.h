// SPDX-License-Identifier: Apache-2.0
// What the readers of definition files agree on.
#pragma once

#include <string_view>

#include "base/text.h"

namespace definition {

// Of variables and build arguments.
inline bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// The line that a stage begins with, unless other lines of its header stand before it.
inline bool begins_stage(std::string_view line) {
  constexpr std::string_view kKey = "bootstrap:";
  return base::lower_case(line.substr(0, kKey.size())) == kKey;
}

}  // namespace definition
