// SPDX-License-Identifier: Apache-2.0
#include "shell/unsupported.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/text.h"

namespace shell {
namespace {

// Options of builtins: the letters that are missing, and those that take a value.
struct OptionRow {
  std::string_view command, missing, with_value;
};
constexpr std::array<OptionRow, 5> kOptions = {{{"declare", "Ailnu", ""},
                                                {"typeset", "Ailnu", ""},
                                                {"local", "Ailnu", ""},
                                                {"readonly", "A", ""},
                                                {"read", "nu", "adpt"}}};

// Empty for a word that is not one unquoted literal.
std::string_view literal(const Word& word) {
  if (word.parts.size() != 1 || word.parts[0].kind != PartKind::literal) return {};
  return word.parts[0].text;
}

bool has_missing_option(const OptionRow& row, std::string_view word) {
  for (const char letter : word.substr(1)) {
    if (row.missing.find(letter) != std::string_view::npos) return true;
    if (row.with_value.find(letter) != std::string_view::npos) return false;
  }
  return false;
}

// Options of `shopt -s` that change what patterns give.
constexpr std::array<std::string_view, 4> kPatternOptions = {"nullglob", "failglob", "dotglob",
                                                             "nocaseglob"};

}  // namespace

std::string find_unsupported(const SimpleCommand& command) {
  if (command.words.empty()) return "";
  const std::string name(literal(command.words[0]));
  if (name == "shopt" && command.words.size() > 2 && literal(command.words[1]) == "-s") {
    for (const Word& word : command.words)
      if (std::ranges::find(kPatternOptions, literal(word)) != kPatternOptions.end())
        return base::cat("shopt -s ", literal(word));
  }
  const auto* const row = std::ranges::find(kOptions, name, &OptionRow::command);
  if (row == kOptions.end()) return "";
  for (std::size_t i = 1; i < command.words.size(); ++i) {
    const std::string_view word = literal(command.words[i]);
    if (word.size() < 2 || word[0] != '-') break;
    if (has_missing_option(*row, word)) return base::cat(name, " ", word);
  }
  return "";
}

}  // namespace shell
