// SPDX-License-Identifier: Apache-2.0
// Builtins that take lines from standard input.
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "shell/builtins.h"

namespace shell::builtins {

namespace {

struct ReadOptions {
  bool raw = false;
  char delimiter = '\n';
  std::string array;
};

ReadOptions read_options(Interpreter& shell, const Arguments& arguments, std::size_t* first) {
  ReadOptions options;
  while (*first < arguments.size() && arguments[*first].size() > 1 && arguments[*first][0] == '-') {
    const std::string& option = arguments[(*first)++];
    if (option == "--") break;
    for (std::size_t i = 1; i < option.size(); ++i) {
      if (option[i] == 'r') options.raw = true;
      if (std::string_view("adpntu").find(option[i]) == std::string_view::npos) continue;
      std::string value = option.substr(i + 1);
      if (value.empty() && *first < arguments.size()) value = arguments[(*first)++];
      if (option[i] == 'd') options.delimiter = value.empty() ? '\0' : value[0];
      if (option[i] == 'a') options.array = value;
      if (option[i] == 'n' || option[i] == 'u')
        shell.fail(base::cat("read: -", option[i], " is not supported"), 1);
      break;
    }
  }
  return options;
}

// One byte at a time: what follows belongs to the next reader of the file. `escaped` marks bytes
// that a backslash quoted. False at end of file.
bool read_line(const ReadOptions& options, std::string* line, std::string* escaped) {
  while (true) {
    char c = 0;
    const ssize_t count = ::read(STDIN_FILENO, &c, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    if (c == options.delimiter) return true;
    if (c == '\\' && !options.raw) {
      if (::read(STDIN_FILENO, &c, 1) <= 0) return false;
      if (c == '\n') continue;
      *line += c;
      *escaped += 'q';
    } else if (c != '\0') {
      *line += c;
      *escaped += 'e';
    }
  }
}

// A line by the characters of IFS (XCU 2.6.5); a quoted one, which is not 'e' in `kinds`, separates
// nothing.
class LineFields {
 public:
  LineFields(const std::string& line, const std::string& kinds, const std::string& ifs)
      : line_(line), kinds_(kinds), ifs_(ifs) {
    skip_blanks();
  }

  bool at_end() const { return position_ == line_.size(); }

  // The next one; empty at the end.
  std::string take() {
    const std::size_t start = position_;
    while (position_ < line_.size() && !separates(position_)) ++position_;
    const std::size_t end = position_;
    skip_blanks();
    if (position_ < line_.size() && separates(position_)) {
      ++position_;
      skip_blanks();
    }
    return line_.substr(start, end - start);
  }

  // All that is left. A single delimiter at the very end, which is no blank, belongs to no field of
  // several.
  std::string rest(bool is_of_several) const {
    std::size_t end = line_.size();
    while (end > position_ && is_blank(end - 1)) --end;
    std::size_t delimiters = 0;
    for (std::size_t i = position_; i < end; ++i) delimiters += separates(i) && !is_blank(i);
    if (is_of_several && delimiters == 1 && separates(end - 1)) --end;
    return line_.substr(position_, end - position_);
  }

 private:
  bool separates(std::size_t i) const {
    return kinds_[i] == 'e' && ifs_.find(line_[i]) != std::string::npos;
  }
  bool is_blank(std::size_t i) const {
    return separates(i) && (line_[i] == ' ' || line_[i] == '\t' || line_[i] == '\n');
  }
  void skip_blanks() {
    while (position_ < line_.size() && is_blank(position_)) ++position_;
  }

  const std::string& line_;
  const std::string& kinds_;
  const std::string ifs_;
  std::size_t position_ = 0;
};

void assign_elements(Interpreter& shell, const std::string& name, Elements elements) {
  Variable& variable = shell.variables().writable(name);
  variable.value.reset();
  variable.elements = std::move(elements);
}

}  // namespace

// Its lines, or what else ends with -d, become the elements of an array.
int mapfile(Interpreter& shell, const Arguments& arguments) {
  std::size_t first = 1;
  bool keeps_end = true;
  ReadOptions options;
  options.raw = true;
  std::int64_t count = 0, skipped = 0;
  for (; first < arguments.size() && arguments[first].starts_with('-'); ++first) {
    const std::string& option = arguments[first];
    if (option == "-t") {
      keeps_end = false;
      continue;
    }
    const bool has_value = option == "-d" || option == "-n" || option == "-s";
    if (!has_value || ++first == arguments.size()) {
      shell.warn(base::cat("mapfile: ", option, " is not supported"));
      return 2;
    }
    const std::string& value = arguments[first];
    if (option == "-d") options.delimiter = value.empty() ? '\0' : value[0];
    if (option == "-n") count = parse_integer(value).value_or(0);
    if (option == "-s") skipped = parse_integer(value).value_or(0);
  }
  const std::string name = first < arguments.size() ? arguments[first] : "MAPFILE";
  if (!is_name(name)) {
    shell.warn(base::cat("mapfile: ", name, ": bad variable name"));
    return 2;
  }
  Elements elements;
  std::size_t size = 0;
  for (bool is_complete = true; is_complete && (count == 0 || std::ssize(elements) < count);) {
    std::string line, kinds;
    is_complete =
        shell.options().programs == Options::Programs::run && read_line(options, &line, &kinds);
    if (!is_complete && line.empty()) break;
    if (skipped > 0) {
      --skipped;
      continue;
    }
    if (is_complete && keeps_end) line += options.delimiter;
    size += line.size() + sizeof(std::string);
    if (size > shell.options().max_value_bytes)
      throw base::error("mapfile: the array grows too large");
    elements.emplace(std::ssize(elements), std::move(line));
  }
  assign_elements(shell, name, std::move(elements));
  return 0;
}

int read(Interpreter& shell, const Arguments& arguments) {
  std::size_t first = 1;
  const ReadOptions options = read_options(shell, arguments, &first);
  if (shell.options().programs != Options::Programs::run) return 1;
  Arguments names = arguments_from(arguments, first);
  if (!options.array.empty()) names = {options.array};
  if (names.empty()) names.push_back("REPLY");
  for (const std::string& name : names) {
    if (is_name(name)) continue;
    shell.warn(base::cat("read: ", name, ": bad variable name"));
    return 2;
  }
  std::string line, kinds;
  const bool complete = read_line(options, &line, &kinds);
  LineFields fields(line, kinds, shell.variables().value_or("IFS", " \t\n"));
  if (!options.array.empty()) {
    Elements elements;
    while (!fields.at_end()) elements.emplace(std::ssize(elements), fields.take());
    assign_elements(shell, options.array, std::move(elements));
    return complete ? 0 : 1;
  }
  for (std::size_t n = 0; n + 1 < names.size(); ++n) shell.assign_value(names[n], fields.take());
  shell.assign_value(names.back(), fields.rest(names.size() > 1));
  return complete ? 0 : 1;
}

}  // namespace shell::builtins
