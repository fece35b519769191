// SPDX-License-Identifier: Apache-2.0
// Shell patterns (XCU 2.13): * ? [...] with backslash as the quote. Matching simulates an
// automaton, so its cost is at most pattern length times text length, whatever the pattern.
#pragma once

#include <bitset>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shell {

class Pattern {
 public:
  explicit Pattern(std::string_view escaped);

  bool matches(std::string_view text) const;
  // Lengths of the matching prefix or suffix; nullopt if none matches, not even an empty one.
  std::optional<std::size_t> prefix(std::string_view text, bool longest) const;
  std::optional<std::size_t> suffix(std::string_view text, bool longest) const;

 private:
  struct Element {
    enum class Kind { character, any, star, set } kind;
    char character = 0;
    std::bitset<256> set = {};
  };
  void add_bracket(std::string_view pattern, std::size_t* position);
  std::optional<std::size_t> run(std::string_view text, bool reverse, bool longest,
                                 bool whole) const;

  std::vector<Element> elements_;
};

// Whether the escaped pattern has an unescaped * or ?, or a [ that a later ] may close; true when
// in doubt. A [ alone, such as the command, stands for itself.
bool has_wildcard(std::string_view escaped);
// The text that a pattern without wildcards stands for.
std::string unescape_pattern(std::string_view escaped);
// Escapes what is special in patterns.
void append_escaped(std::string* pattern, char character);

// Existing paths that match, sorted; empty if there are none. Names with a leading dot need one in
// the pattern.
std::vector<std::string> matching_paths(std::string_view escaped);

}  // namespace shell
