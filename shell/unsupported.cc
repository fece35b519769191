// SPDX-License-Identifier: Apache-2.0
#include "shell/unsupported.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "base/text.h"

namespace shell {
namespace {

constexpr std::array<std::string_view, 5> kCommands = {"pushd", "popd", "dirs", "mapfile",
                                                       "readarray"};

// Options of builtins: the letters that are missing, and those that take a value.
struct OptionRow {
  std::string_view command, missing, with_value;
};
constexpr std::array<OptionRow, 6> kOptions = {{{"declare", "An", ""},
                                                {"typeset", "An", ""},
                                                {"local", "An", ""},
                                                {"readonly", "A", ""},
                                                {"printf", "v", ""},
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

// What stands between two braces, expansions as one letter each.
bool expands(std::string_view inside) {
  int depth = 0;
  for (const char c : inside) {
    if (c == '{') ++depth;
    if (c == '}') --depth;
    if (c == ',' && depth == 0) return true;
  }
  const std::size_t dots = inside.find("..");
  const auto is_end = [](std::string_view text) {
    return text.size() == 1 ? std::isalnum(static_cast<unsigned char>(text[0])) != 0
                            : !text.empty() && text.find_first_not_of("-0123456789") ==
                                                   std::string_view::npos;
  };
  return dots != std::string_view::npos && is_end(inside.substr(0, dots)) &&
         is_end(inside.substr(dots + 2, inside.find("..", dots + 2) - (dots + 2)));
}

}  // namespace

std::string find_unsupported(const SimpleCommand& command) {
  if (command.words.empty()) return "";
  if (std::ranges::any_of(command.words, has_brace_expansion)) return "brace expansion";
  const std::string name(literal(command.words[0]));
  if (std::ranges::find(kCommands, name) != kCommands.end()) return name;
  const auto* const row = std::ranges::find(kOptions, name, &OptionRow::command);
  if (row == kOptions.end()) return "";
  for (std::size_t i = 1; i < command.words.size(); ++i) {
    const std::string_view word = literal(command.words[i]);
    if (word.size() < 2 || word[0] != '-') break;
    if (has_missing_option(*row, word)) return base::cat(name, " ", word);
  }
  return "";
}

bool has_brace_expansion(const Word& word) {
  std::string text;
  for (const WordPart& part : word.parts) text += part.kind == PartKind::literal ? part.text : "x";
  for (std::size_t open = 0; (open = text.find('{', open)) != std::string::npos; ++open) {
    int depth = 0;
    for (std::size_t i = open; i < text.size(); ++i) {
      if (text[i] == '{') ++depth;
      if (text[i] != '}' || --depth > 0) continue;
      if (expands(std::string_view(text).substr(open + 1, i - open - 1))) return true;
      break;
    }
  }
  return false;
}

}  // namespace shell
