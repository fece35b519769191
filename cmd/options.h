// SPDX-License-Identifier: Apache-2.0
// Command lines of both programs from one table: the parser, the environment keys and the help text
// read the same rows. The rules are those of Go's pflag as Apptainer uses it, since wrappers and
// workflow engines rely on them: options end at the first argument that is none, short flags may be
// glued (-eC, -Bx), flags take --flag=false, an environment key stands in for an absent option.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cmd {

enum class OptionKind {
  flag,         // true or false
  text,         // one value, the last one wins
  list,         // values between commas, repeatable; "a,b" in double quotes is one value, and an
                // empty line none
  texts,        // repeatable, each value taken whole
  assignments,  // K=V between commas, repeatable; a value with one '=' is taken whole
};

struct OptionRow {
  std::string_view name;  // long form without dashes
  char letter = 0;        // short form; 0: none
  OptionKind kind = OptionKind::flag;
  std::string_view value{};    // word for the value in the help text
  std::string_view help{};     // empty: accepted, but not shown
  std::string_view env{};      // keys without prefix, between spaces: "BIND BINDPATH"
  std::string_view group{};    // heading in the help text
  std::string_view same_as{};  // this row is another spelling of that row
  std::string_view refused{};  // why it cannot be had: see throw_if_refused
  bool env_appends = false;    // environment values come after the line's instead of giving way
};

enum class Ordering {
  options_first,  // options end at the first positional argument
  mixed,          // options may stand anywhere before "--"
};

// Values by option name. Asking for a name that the table lacks, or for the wrong kind, is a
// programming error and throws std::logic_error.
class ParsedOptions {
 public:
  explicit ParsedOptions(std::span<const OptionRow> table);

  bool flag(std::string_view name) const;
  const std::optional<std::string>& text(std::string_view name) const;
  const std::vector<std::string>& values(std::string_view name) const;  // the repeatable kinds
  bool given(std::string_view name) const;  // on the line or in the environment
  // Throws Error, with the reason as its hint, for a given option that is known but refused.
  void throw_if_refused() const;

  const std::vector<std::string>& positionals() const { return positionals_; }
  // Contradictions in the environment, to be logged once the log level is known.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  friend class OptionParser;
  struct Value {
    const OptionRow* row;
    bool given = false;
    bool flag = false;
    std::optional<std::string> text;
    std::vector<std::string> values;
  };
  const Value& find(std::string_view name) const;

  std::map<std::string_view, Value> by_name_;
  std::vector<std::string> positionals_;
  std::vector<std::string> warnings_;
};

// Looks up "PREFIX_KEY" for each prefix in turn; environ entries are "NAME=value".
struct OptionEnvironment {
  std::vector<std::string_view> prefixes;  // preferred one first
  const char* const* entries = nullptr;    // null-terminated, as environ
};

// `arguments` excludes the program's (and the verb's) name. Throws base::Error, a usage error, in
// one line; the caller adds the pointer to --help.
ParsedOptions parse_options(std::span<const OptionRow> table,
                            std::span<const char* const> arguments,
                            const OptionEnvironment& environment = {},
                            Ordering ordering = Ordering::options_first);

// A number as Go's pflag reads it: with a sign, and in hexadecimal, octal or binary after 0x, 0o or
// 0, and 0b. nullopt if it is none or does not fit.
std::optional<std::int64_t> find_integer(std::string_view text);

// "Group:\n  -B, --bind SPEC   text\n..." for the rows with a help text, columns aligned.
std::string options_help(std::span<const OptionRow> table);

}  // namespace cmd
