// SPDX-License-Identifier: Apache-2.0
// Brace expansion, as bash has it: a{b,c}d and {1..3}, outside of quotes. It is of the text, so it
// comes before every other expansion.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "shell/ast.h"

namespace shell {

inline constexpr std::size_t kMaxBraceWords = 100'000;

// Whether there may be any to expand.
bool has_brace(const Word& word);
// Gives the words that `word` stands for, mostly itself, one after the other: all of them at once
// would hold the word's quoted texts and expansions as often. Throws Error, before the first one,
// for more than kMaxBraceWords and for braces that are nested too deeply.
void expand_braces(const Word& word, const std::function<void(const Word& word)>& each);
// The same for a text without quotes.
std::vector<std::string> expand_braces(std::string_view text);

}  // namespace shell
