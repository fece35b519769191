// SPDX-License-Identifier: Apache-2.0
// Brace expansion, as bash does it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace definition {

inline constexpr std::size_t kMaxAlternatives = 100000;

// "a{b,c}d" -> "abd", "acd"; "a{1..3}" -> "a1", "a2", "a3". Braces that hold neither a comma nor a
// range stay. Throws Error for more than kMaxAlternatives.
std::vector<std::string> expand_braces(const std::string& text);

}  // namespace definition
