// SPDX-License-Identifier: Apache-2.0
#include "definition/build_arguments.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "definition/syntax.h"

namespace definition {
namespace {

constexpr int kMaxDepthOfDefaults = 16;
constexpr std::size_t kMaxText = 16 << 20;  // with all values in place

// The stages of a definition, each with the text from its "Bootstrap:" on.
std::vector<std::string> split_stages(std::string_view text) {
  std::vector<std::string> stages(1);
  bool has_bootstrap = false;
  for (const std::string& line : base::split(text, '\n')) {
    if (begins_stage(line)) {
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

// Lines that give nothing are passed over, as by Apptainer.
BuildArguments defaults_of(std::string_view stage) {
  BuildArguments defaults;
  bool inside = false;
  for (const std::string& line : base::split(stage, '\n')) {
    if (line.starts_with('%'))
      inside = is_section(line, "arguments");
    else if (inside && line.find('=') != std::string::npos)
      add_argument_lines(line, defaults);
  }
  return defaults;
}

bool is_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_name_character);
}

// Of one stage.
class Substitution {
 public:
  Substitution(const BuildArguments& given, const BuildArguments& defaults,
               std::set<std::string, std::less<>>& used)
      : given_(given), defaults_(defaults), used_(used) {}

  // `depth`: how many values this one stands in.
  std::string apply(std::string_view text, int depth) {
    std::string out;
    std::size_t at = 0;
    while (true) {
      const std::size_t open = text.find("{{", at);
      const std::size_t close = open == std::string_view::npos ? open : text.find("}}", open);
      if (close == std::string_view::npos) return out += text.substr(at);
      const std::string name(base::trimmed(text.substr(open + 2, close - open - 2)));
      const std::optional<std::string> value =
          is_name(name) ? find_value(name, is_comment(text, open), depth) : std::nullopt;
      // What has no value stays, and may hold the beginning of another name.
      out += text.substr(at, (value ? open : open + 2) - at);
      at = value ? close + 2 : open + 2;
      out += value.value_or("");
      if (out.size() > kMaxText)
        throw base::error("the values of build arguments add up to more than ", kMaxText, " bytes");
    }
  }

 private:
  static bool is_comment(std::string_view text, std::size_t at) {
    const std::size_t begin = text.rfind('\n', at) + 1;  // npos + 1 is the text's begin
    return text.substr(begin, at - begin).find('#') != std::string_view::npos;
  }

  std::optional<std::string> find_value(const std::string& name, bool in_comment, int depth) {
    if (const auto found = given_.find(name); found != given_.end()) {
      used_.insert(name);
      return found->second;
    }
    const auto found = defaults_.find(name);
    if (found == defaults_.end()) {
      if (in_comment) return std::nullopt;
      throw base::error("build var ", name,
                        " is not defined through either --build-arg (--build-arg-file) or "
                        "'arguments' section");
    }
    if (depth == kMaxDepthOfDefaults)
      throw base::error("build var ", name, " stands for itself, by way of others");
    return apply(found->second, depth + 1);
  }

  const BuildArguments& given_;
  const BuildArguments& defaults_;
  std::set<std::string, std::less<>>& used_;
};

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
    out += Substitution(given, defaults, used).apply(stage, 0);
  }
  return out;
}

}  // namespace definition
