// SPDX-License-Identifier: Apache-2.0
#include "definition/build_arguments.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace definition {
namespace {

// The stages of a definition, each with the text from its "Bootstrap:" on.
std::vector<std::string> split_stages(std::string_view text) {
  std::vector<std::string> stages(1);
  bool has_bootstrap = false;
  for (const std::string& line : base::split(text, '\n')) {
    if (base::lower_case(line).starts_with("bootstrap:")) {
      if (has_bootstrap) stages.emplace_back();
      has_bootstrap = true;
    }
    stages.back() += line + "\n";
  }
  stages.back().pop_back();  // what split() took for a line's end
  return stages;
}

bool is_section(std::string_view line, std::string_view name) {
  if (!line.starts_with('%')) return false;
  const std::string_view word = line.substr(1, line.find_first_of(" \t\r") - 1);
  return base::lower_case(word) == name;
}

BuildArguments defaults_of(std::string_view stage) {
  BuildArguments defaults;
  bool inside = false;
  for (const std::string& line : base::split(stage, '\n')) {
    if (line.starts_with('%'))
      inside = is_section(line, "arguments");
    else if (inside)
      add_argument_lines(line, defaults);
  }
  return defaults;
}

bool is_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

}  // namespace

void add_argument(std::string_view assignment, BuildArguments& arguments) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos)
    throw base::error("build argument ", base::printable(assignment), ": expected NAME=VALUE");
  arguments[std::string(base::trimmed(assignment.substr(0, equals)))] =
      base::trimmed(assignment.substr(equals + 1));
}

void add_argument_lines(std::string_view text, BuildArguments& arguments) {
  for (const std::string& line : base::split(text, '\n')) {
    const std::string_view content = base::trimmed(line);
    if (!content.empty() && !content.starts_with('#')) add_argument(content, arguments);
  }
}

std::string substitute(std::string_view text, const BuildArguments& given,
                       std::set<std::string, std::less<>>& used) {
  std::string out;
  for (const std::string& stage : split_stages(text)) {
    const BuildArguments defaults = defaults_of(stage);
    std::size_t at = 0;
    while (true) {
      const std::size_t open = stage.find("{{", at);
      const std::size_t close = open == std::string::npos ? open : stage.find("}}", open);
      if (close == std::string::npos) break;
      const std::string name(
          base::trimmed(std::string_view(stage).substr(open + 2, close - open - 2)));
      if (!is_name(name)) {
        out += stage.substr(at, open + 2 - at);
        at = open + 2;
        continue;
      }
      const bool is_given = given.contains(name);
      if (!is_given && !defaults.contains(name)) {
        throw base::error("build var ", name,
                          " is not defined through either --build-arg (--build-arg-file) or "
                          "'arguments' section");
      }
      if (is_given) used.insert(name);
      out += stage.substr(at, open - at) + (is_given ? given : defaults).find(name)->second;
      at = close + 2;
    }
    out += stage.substr(at);
  }
  return out;
}

}  // namespace definition
