// SPDX-License-Identifier: Apache-2.0
// Brace expansion, as bash has it: a{b,c}d and {1..3}, outside of quotes. It is of the text, so it
// comes before every other expansion.
#pragma once

#include <vector>

#include "shell/ast.h"

namespace shell {

// Whether there may be any to expand.
bool has_brace(const Word& word);
// The words that `word` stands for: itself, mostly. Throws Error for more than a command takes.
std::vector<Word> expand_braces(const Word& word);

}  // namespace shell
