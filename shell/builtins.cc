// SPDX-License-Identifier: Apache-2.0
// The table of builtins.
#include "shell/builtins.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace shell {

namespace {

using namespace builtins;

constexpr bool kSpecial = true;
constexpr bool kContained = true;

// Sorted by name. bind, complete, hash, shopt, alias and unalias only concern interactive use.
constexpr std::array kBuiltins = {
    Builtin{".", source, kSpecial},
    Builtin{":", colon, kSpecial, kContained},
    Builtin{"[", test, false, kContained},
    Builtin{"alias", colon, false, kContained},
    Builtin{"bind", colon, false, kContained},
    Builtin{"break", break_, kSpecial, kContained},
    Builtin{"builtin", builtin},
    Builtin{"cd", cd},
    Builtin{"command", command},
    Builtin{"complete", colon, false, kContained},
    Builtin{"continue", continue_, kSpecial, kContained},
    Builtin{"declare", declare, false, kContained},
    Builtin{"dirs", dirs, false, kContained},
    Builtin{"echo", echo, false, kContained},
    Builtin{"eval", eval, kSpecial},
    Builtin{"exec", exec, kSpecial},
    Builtin{"exit", exit_, kSpecial, kContained},
    Builtin{"export", export_, kSpecial, kContained},
    Builtin{"false", false_, false, kContained},
    Builtin{"getopts", getopts, false, kContained},
    Builtin{"hash", colon, false, kContained},
    Builtin{"let", let, false, kContained},
    Builtin{"local", local, false, kContained},
    Builtin{"mapfile", mapfile},
    Builtin{"popd", popd},
    Builtin{"printf", printf_, false, kContained},
    Builtin{"pushd", pushd},
    Builtin{"pwd", pwd, false, kContained},
    Builtin{"read", read},
    Builtin{"readarray", mapfile},
    Builtin{"readonly", readonly, kSpecial, kContained},
    Builtin{"return", return_, kSpecial, kContained},
    Builtin{"set", set, kSpecial, kContained},
    Builtin{"shift", shift, kSpecial, kContained},
    Builtin{"shopt", colon, false, kContained},
    Builtin{"source", source},
    Builtin{"test", test, false, kContained},
    Builtin{"trap", trap, kSpecial},
    Builtin{"true", colon, false, kContained},
    Builtin{"type", type, false, kContained},
    Builtin{"typeset", declare, false, kContained},
    Builtin{"ulimit", ulimit},
    Builtin{"umask", umask},
    Builtin{"unalias", colon, false, kContained},
    Builtin{"unset", unset, kSpecial, kContained},
    Builtin{"wait", wait},
};

}  // namespace

const Builtin* find_builtin(const std::string& name) {
  const auto found = std::lower_bound(
      kBuiltins.begin(), kBuiltins.end(), name,
      [](const Builtin& entry, const std::string& wanted) { return entry.name < wanted; });
  return found != kBuiltins.end() && found->name == name ? &*found : nullptr;
}

bool is_special_builtin(const std::string& name) {
  const Builtin* builtin = find_builtin(name);
  return builtin && builtin->special;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  if (text.starts_with('+') && text.size() > 1 && text[1] != '-') text.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string quoted(std::string_view text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) ||
           std::string_view("_-./:=+,@%").find(c) != std::string_view::npos;
  });
  if (plain) return std::string(text);
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'') {
      result += "'\\''";
    } else {
      result += c;
    }
  }
  return result + "'";
}

}  // namespace shell
