// SPDX-License-Identifier: Apache-2.0
#include "cmd/options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <stdexcept>
#include <system_error>

#include "base/error.h"
#include "base/text.h"

namespace cmd {
namespace {

constexpr std::size_t kHelpColumn = 30;
constexpr std::size_t kHelpWidth = 100;

struct Truth {
  std::string_view word;
  bool value;
};
// What Go's strconv.ParseBool accepts.
constexpr std::array<Truth, 12> kTruths = {{{"1", true},
                                            {"t", true},
                                            {"T", true},
                                            {"true", true},
                                            {"TRUE", true},
                                            {"True", true},
                                            {"0", false},
                                            {"f", false},
                                            {"F", false},
                                            {"false", false},
                                            {"FALSE", false},
                                            {"False", false}}};

std::optional<bool> find_truth(std::string_view word) {
  const auto* found = std::ranges::find(kTruths, word, &Truth::word);
  if (found == kTruths.end()) return std::nullopt;
  return found->value;
}

std::vector<std::string> split_assignments(std::string_view line, std::string_view origin) {
  const auto equals = std::ranges::count(line, '=');
  if (equals == 0)
    throw base::error(origin, ": ", base::printable(line), " must be of the form KEY=VALUE");
  std::vector<std::string> fields;
  if (equals == 1) {
    // It needs no quotes to hold commas, but may have those that it would need among others.
    const bool quoted = line.size() > 1 && line.front() == '"' && line.back() == '"';
    fields.emplace_back(quoted ? line.substr(1, line.size() - 2) : line);
  } else {
    fields = base::split_csv(line, origin);
  }
  for (std::string& field : fields) {
    const std::size_t end = field.find('=');
    if (end == std::string::npos)
      throw base::error(origin, ": ", base::printable(field), " must be of the form KEY=VALUE");
    // Blanks around a name, as in "A=1, B=2", are none of it.
    field = base::cat(base::trimmed(field.substr(0, end)), field.substr(end));
  }
  return fields;
}

std::string spelling(const OptionRow& row) {
  if (row.letter == 0) return base::cat("--", row.name);
  return base::cat("-", row.letter, ", --", row.name);
}

// The entries that keys are looked up among, in their order: few of an environment begin with one
// of the prefixes.
std::vector<std::string_view> prefixed_entries(const OptionEnvironment& environment) {
  std::vector<std::string_view> found;
  for (const char* const* next = environment.entries; next != nullptr && *next != nullptr; ++next) {
    const std::string_view entry(*next);
    if (std::ranges::any_of(environment.prefixes,
                            [&](std::string_view prefix) { return entry.starts_with(prefix); }))
      found.push_back(entry);
  }
  return found;
}

std::optional<std::string_view> find_value(std::span<const std::string_view> entries,
                                           std::string_view name) {
  for (const std::string_view entry : entries) {
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=')
      return entry.substr(name.size() + 1);
  }
  return std::nullopt;
}

void append_wrapped(std::string& out, std::string_view text) {
  std::size_t column = kHelpColumn;
  for (const std::string& word : base::split(text, ' ')) {
    if (column > kHelpColumn && column + 1 + word.size() > kHelpWidth) {
      out += '\n';
      out.append(kHelpColumn, ' ');
      column = kHelpColumn;
    }
    if (column > kHelpColumn) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  out += '\n';
}

}  // namespace

ParsedOptions::ParsedOptions(std::span<const OptionRow> table) {
  for (const OptionRow& row : table) {
    if (row.same_as.empty())
      by_name_.emplace(row.name, Value{&row, false, false, std::nullopt, {}});
  }
}

const ParsedOptions::Value& ParsedOptions::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end())
    throw std::logic_error(base::cat("option --", name, " is not in the table"));
  return found->second;
}

bool ParsedOptions::flag(std::string_view name) const {
  const Value& value = find(name);
  if (value.row->kind != OptionKind::flag) throw std::logic_error(std::string(name));
  return value.flag;
}

const std::optional<std::string>& ParsedOptions::text(std::string_view name) const {
  const Value& value = find(name);
  if (value.row->kind != OptionKind::text) throw std::logic_error(std::string(name));
  return value.text;
}

const std::vector<std::string>& ParsedOptions::values(std::string_view name) const {
  const Value& value = find(name);
  if (value.row->kind == OptionKind::flag || value.row->kind == OptionKind::text)
    throw std::logic_error(std::string(name));
  return value.values;
}

bool ParsedOptions::given(std::string_view name) const { return find(name).given; }

void ParsedOptions::throw_if_refused() const {
  for (const auto& [name, value] : by_name_) {
    const bool off = value.row->kind == OptionKind::flag && !value.flag;
    if (value.row->refused.empty() || !value.given || off) continue;
    throw base::error("--", name, " is not supported").with_hint(std::string(value.row->refused));
  }
}

class OptionParser {
 public:
  OptionParser(std::span<const OptionRow> table, std::span<const char* const> arguments)
      : table_(table), arguments_(arguments), parsed_(table) {}

  void read_line(Ordering ordering);
  void read_environment(const OptionEnvironment& environment);
  ParsedOptions take() { return std::move(parsed_); }

 private:
  void read_long(std::string_view body);
  void read_short(std::string_view letters);
  const OptionRow* find_long(std::string_view name) const;
  const OptionRow* find_letter(char letter) const;
  void read_key(const OptionRow& row, std::string_view key,
                std::span<const std::string_view> prefixes,
                std::span<const std::string_view> entries);
  std::string_view next_value(std::string_view option);
  void store(const OptionRow& row, std::string_view value, std::string_view origin);

  std::span<const OptionRow> table_;
  std::span<const char* const> arguments_;
  std::size_t next_ = 0;
  ParsedOptions parsed_;
};

void OptionParser::read_line(Ordering ordering) {
  while (next_ < arguments_.size()) {
    const std::string_view argument = arguments_[next_++];
    if (argument == "--") break;
    if (argument.size() < 2 || argument[0] != '-') {
      parsed_.positionals_.emplace_back(argument);
      if (ordering == Ordering::options_first) break;
    } else if (argument[1] == '-') {
      read_long(argument.substr(2));
    } else {
      read_short(argument.substr(1));
    }
  }
  for (; next_ < arguments_.size(); ++next_) parsed_.positionals_.emplace_back(arguments_[next_]);
}

void OptionParser::read_long(std::string_view body) {
  const std::size_t equals = body.find('=');
  const std::string_view name = body.substr(0, equals);
  const OptionRow* row = find_long(name);
  if (row == nullptr) throw base::error("unknown option --", base::printable(name));
  const std::string origin = base::cat("--", name);
  if (equals != std::string_view::npos) {
    store(*row, body.substr(equals + 1), origin);
  } else if (row->kind == OptionKind::flag) {
    store(*row, "true", origin);
  } else {
    store(*row, next_value(origin), origin);
  }
}

void OptionParser::read_short(std::string_view letters) {
  for (std::size_t i = 0; i < letters.size(); ++i) {
    const OptionRow* row = find_letter(letters[i]);
    const std::string origin = base::cat("-", base::printable(letters.substr(i, 1)));
    if (row == nullptr) {
      throw base::error("unknown option ", origin,
                        letters.size() > 1 ? base::cat(" in -", base::printable(letters)) : "");
    }
    const std::string_view rest = letters.substr(i + 1);
    if (rest.starts_with('=')) return store(*row, rest.substr(1), origin);
    if (row->kind == OptionKind::flag) {
      store(*row, "true", origin);
      continue;
    }
    return store(*row, rest.empty() ? next_value(origin) : rest, origin);
  }
}

const OptionRow* OptionParser::find_long(std::string_view name) const {
  const auto found = std::ranges::find(table_, name, &OptionRow::name);
  return found == table_.end() ? nullptr : &*found;
}

const OptionRow* OptionParser::find_letter(char letter) const {
  const auto found = std::ranges::find_if(
      table_, [letter](const OptionRow& row) { return row.letter == letter && letter != 0; });
  return found == table_.end() ? nullptr : &*found;
}

std::string_view OptionParser::next_value(std::string_view option) {
  if (next_ >= arguments_.size()) throw base::error("option ", option, " needs a value");
  return arguments_[next_++];
}

void OptionParser::store(const OptionRow& row, std::string_view value, std::string_view origin) {
  ParsedOptions::Value& slot = parsed_.by_name_.at(row.same_as.empty() ? row.name : row.same_as);
  slot.given = true;
  std::vector<std::string> fields;
  switch (row.kind) {
    case OptionKind::flag: {
      const std::optional<bool> truth = find_truth(value);
      if (!truth)
        throw base::error(origin, ": ", base::printable(value), " is neither true nor false");
      slot.flag = *truth;
      return;
    }
    case OptionKind::text:
      slot.text = std::string(value);
      return;
    case OptionKind::texts:
      slot.values.emplace_back(value);
      return;
    case OptionKind::list:
      fields = base::split_csv(value, origin);
      break;
    case OptionKind::assignments:
      fields = split_assignments(value, origin);
      break;
  }
  slot.values.insert(slot.values.end(), fields.begin(), fields.end());
}

void OptionParser::read_environment(const OptionEnvironment& environment) {
  const std::vector<std::string_view> entries = prefixed_entries(environment);
  if (entries.empty()) return;
  for (const OptionRow& row : table_) {
    const std::string_view target = row.same_as.empty() ? row.name : row.same_as;
    for (const std::string& key : base::split(row.env, ' ')) {
      // Taken anew for each key: the first key with a value wins, unless values append.
      if (key.empty() || (parsed_.given(target) && !row.env_appends)) continue;
      read_key(row, key, environment.prefixes, entries);
    }
  }
}

void OptionParser::read_key(const OptionRow& row, std::string_view key,
                            std::span<const std::string_view> prefixes,
                            std::span<const std::string_view> entries) {
  std::optional<std::string_view> chosen;
  std::string chosen_name;
  for (const std::string_view prefix : prefixes) {
    const std::string name = base::cat(prefix, key);
    const std::optional<std::string_view> value = find_value(entries, name);
    if (!value) continue;
    if (!chosen) {
      chosen = value;
      chosen_name = name;
    } else if (!value->empty() && *chosen != *value) {
      parsed_.warnings_.push_back(
          base::cat(name, " and ", chosen_name, " have different values, using the latter"));
    }
  }
  // An empty one hides that of the other prefix, and then counts as absent.
  if (!chosen || chosen->empty()) return;
  // Set once for all runs of a site: no reason to run nothing.
  if (!row.refused.empty()) {
    if (row.kind != OptionKind::flag || find_truth(*chosen) != false)
      parsed_.warnings_.push_back(
          base::cat(chosen_name, " is ignored: --", row.name, " is not supported"));
    return;
  }
  store(row, *chosen, chosen_name);
}

ParsedOptions parse_options(std::span<const OptionRow> table,
                            std::span<const char* const> arguments,
                            const OptionEnvironment& environment, Ordering ordering) {
  OptionParser parser(table, arguments);
  parser.read_line(ordering);
  parser.read_environment(environment);
  return parser.take();
}

std::optional<std::int64_t> find_integer(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    const char letter =
        text[1] >= 'A' && text[1] <= 'Z' ? static_cast<char>(text[1] + 32) : text[1];
    base = letter == 'x' ? 16 : letter == 'b' ? 2 : 8;
    text.remove_prefix(base == 8 && letter != 'o' ? 1 : 2);
  }
  std::uint64_t magnitude = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, problem] = std::from_chars(text.data(), end, magnitude, base);
  if (problem != std::errc() || stop != end) return std::nullopt;
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (magnitude > kMost) return std::nullopt;
  const auto number = static_cast<std::int64_t>(magnitude);
  return negative ? -number : number;
}

std::string options_help(std::span<const OptionRow> table) {
  std::vector<std::string_view> groups;
  for (const OptionRow& row : table) {
    if (!row.help.empty() && std::ranges::find(groups, row.group) == groups.end())
      groups.push_back(row.group);
  }
  std::string out;
  for (const std::string_view group : groups) {
    out += base::cat(out.empty() ? "" : "\n", group.empty() ? "Options" : group, ":\n");
    for (const OptionRow& row : table) {
      if (row.help.empty() || row.group != group) continue;
      std::string line = base::cat("  ", row.letter == 0 ? "    " : "", spelling(row),
                                   row.value.empty() ? "" : " ", row.value);
      if (line.size() + 2 > kHelpColumn) {
        out += line + '\n';
        line.clear();
      }
      line.resize(kHelpColumn, ' ');
      out += line;
      append_wrapped(out, row.help);
    }
  }
  return out;
}

}  // namespace cmd
