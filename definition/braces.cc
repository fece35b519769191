// SPDX-License-Identifier: Apache-2.0
#include "definition/braces.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "base/error.h"
#include "base/text.h"

namespace definition {
namespace {

// What lies between a brace and its end.
struct Braces {
  std::size_t open, close;
  std::vector<std::string> parts;
};

// No parts where the brace has no end.
Braces find_braces(const std::string& text, std::size_t open) {
  Braces found{open, open, {}};
  int depth = 0;
  std::size_t begin = open + 1;
  for (std::size_t at = open; at < text.size(); ++at) {
    if (text[at] == '{') ++depth;
    const bool ends = text[at] == '}' && --depth == 0;
    if (ends || (text[at] == ',' && depth == 1)) {
      found.parts.push_back(text.substr(begin, at - begin));
      begin = at + 1;
    }
    if (!ends) continue;
    found.close = at;
    return found;
  }
  return {open, open, {}};
}

// "1..3"
std::vector<std::string> numbers_of(const std::string& range) {
  int first = 0, last = 0, used = 0;
  if (std::sscanf(range.c_str(), "%9d..%9d%n", &first, &last, &used) != 2 ||
      static_cast<std::size_t>(used) != range.size() ||
      static_cast<std::size_t>(std::abs(last - first)) >= kMaxAlternatives)
    return {};
  std::vector<std::string> numbers;
  const int step = first <= last ? 1 : -1;
  for (int number = first; number != last + step; number += step)
    numbers.push_back(std::to_string(number));
  return numbers;
}

}  // namespace

std::vector<std::string> expand_braces(const std::string& text) {
  for (std::size_t open = text.find('{'); open != std::string::npos;
       open = text.find('{', open + 1)) {
    Braces braces = find_braces(text, open);
    if (braces.parts.size() == 1) braces.parts = numbers_of(braces.parts[0]);
    if (braces.parts.empty()) continue;
    std::vector<std::string> all;
    for (const std::string& part : braces.parts) {
      std::ranges::move(
          expand_braces(base::cat(text.substr(0, open), part, text.substr(braces.close + 1))),
          std::back_inserter(all));
      if (all.size() > kMaxAlternatives)
        throw base::error("too many alternatives: ", base::printable(text));
    }
    return all;
  }
  return {text};
}

}  // namespace definition
