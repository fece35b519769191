// SPDX-License-Identifier: Apache-2.0
#include "definition/definition_file.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/error.h"
#include "base/text.h"
#include "definition/syntax.h"

namespace definition {
namespace {

constexpr std::array<std::string_view, 23> kHeaderKeys = {
    "bootstrap", "from",         "includecmd", "mirrorurl", "updateurl",   "osversion",
    "include",   "library",      "registry",   "namespace", "stage",       "product",
    "user",      "regcode",      "productpgp", "modules",   "registerurl", "otherurl",
    "confurl",   "fingerprints", "setopt",     "asroot",    "platform"};
constexpr std::array<std::string_view, 11> kSections = {
    "help", "setup", "files",       "labels",    "environment", "pre",
    "post", "test",  "startscript", "arguments", "runscript"};
constexpr std::array<std::string_view, 8> kAppSections = {
    "appinstall", "applabels", "appfiles", "appenv", "apptest", "apphelp", "apprun", "appstart"};

bool is_one_of(std::string_view word, const auto& words) {
  return std::ranges::find(words, word) != words.end();
}

// otherurl1, otherurl2...
bool is_header_key(std::string_view key) {
  return is_one_of(key, kHeaderKeys) || key.starts_with("otherurl");
}

// The first word and what comes behind it.
std::pair<std::string_view, std::string_view> split_word(std::string_view text) {
  text = base::trimmed(text);
  const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
  return {text.substr(0, end), base::trimmed(text.substr(end))};
}

bool is_app_character(char c) { return is_name_character(c) || c == '-' || c == '.'; }

// Words as in a shell: quotes, backslashes and, in the first ones, variables of the environment and
// "~".
class WordReader {
 public:
  WordReader(std::string_view line, std::size_t expanded) : rest_(line), expanded_(expanded) {}

  std::vector<std::string> read() {
    std::vector<std::string> words;
    while (true) {
      rest_ = base::trimmed(rest_);
      if (rest_.empty()) return words;
      expands_ = words.size() < expanded_;
      words.push_back(next());
    }
  }

 private:
  char take() {
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  std::string next() {
    std::string word;
    char quote = 0;
    if (expands_ && (rest_ == "~" || rest_.starts_with("~/") || rest_.starts_with("~ "))) {
      take();
      word = value_of("HOME");
    }
    while (!rest_.empty() && (quote != 0 || (rest_.front() != ' ' && rest_.front() != '\t'))) {
      const char c = take();
      if (c == quote) {
        quote = 0;
      } else if (quote == 0 && (c == '"' || c == '\'')) {
        quote = c;
      } else if (c == '\\' && quote != '\'' && !rest_.empty()) {
        word += take();
      } else if (c == '$' && quote != '\'' && expands_) {
        word += variable();
      } else {
        word += c;
      }
    }
    return word;
  }

  // Behind the dollar sign: NAME, {NAME}, {NAME:-DEFAULT} and {NAME-DEFAULT}.
  std::string variable() {
    const bool braced = rest_.starts_with('{');
    if (braced) take();
    std::string name;
    while (!rest_.empty() && is_name_character(rest_.front())) name += take();
    if (!braced) return name.empty() ? "$" : value_of(name);
    const std::size_t end = std::min(rest_.find('}'), rest_.size());
    std::string_view otherwise = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    const std::string value = value_of(name);
    if (otherwise.starts_with(":-"))
      return value.empty() ? std::string(otherwise.substr(2)) : value;
    if (!otherwise.starts_with('-')) return value;
    return std::getenv(name.c_str()) == nullptr ? std::string(otherwise.substr(1)) : value;
  }

  static std::string value_of(const std::string& variable) {
    const char* value = std::getenv(variable.c_str());
    return value == nullptr ? "" : value;
  }

  std::string_view rest_;
  std::size_t expanded_;
  bool expands_ = true;
};

class DefinitionReader {
 public:
  explicit DefinitionReader(std::string_view name) : name_(base::printable(name)) {}

  std::vector<Stage> read(std::string_view text) {
    for (std::string& line : base::split(text, '\n')) {
      if (line.ends_with('\r')) line.pop_back();
      read_line(line);
    }
    if (!unknown_.empty())
      fail("invalid section(s) specified: ", base::printable(base::join(unknown_, ", ")));
    if (stages_.empty()) fail("no stages found in definition file");
    for (const Stage& stage : stages_) {
      if (stage.header_value("bootstrap").empty()) fail("no bootstrap specification found");
    }
    return std::move(stages_);
  }

 private:
  template <typename... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    throw base::error("while parsing definition: ", name_, ": ", parts...);
  }

  void read_line(const std::string& line) {
    const std::string_view content = base::trimmed(line);
    const bool in_header = add_line_ == nullptr;
    if (begins_stage(line) && (stages_.empty() || !in_header || has_bootstrap())) begin_stage();
    if (content.starts_with('%')) return begin_section(line, content);
    if (add_line_ != nullptr) return (this->*add_line_)(line);
    if (!content.empty() && !content.starts_with('#')) read_header(content);
  }

  bool has_bootstrap() const { return !stages_.back().header_value("bootstrap").empty(); }

  void begin_stage() {
    stages_.emplace_back();
    add_line_ = nullptr;
  }

  Stage& stage() {
    if (stages_.empty()) begin_stage();
    return stages_.back();
  }

  void read_header(std::string_view line) {
    line = line.substr(0, line.find('#'));
    const std::size_t colon = line.find(':');
    const std::string key = base::lower_case(base::trimmed(line.substr(0, colon)));
    if (colon == std::string_view::npos)
      fail("failed to parse deffile header: header key ", base::printable(key), " had no val");
    if (!is_header_key(key)) {
      fail("failed to parse deffile header: invalid header keyword found: ", base::printable(key));
    }
    stage().header[key] = base::trimmed(line.substr(colon + 1));
  }

  // Sections begin at the start of a line: one that seems to stand inside another is a mistake.
  void begin_section(std::string_view line, std::string_view content) {
    const auto [word, arguments] = split_word(content.substr(1));
    const std::string section = base::lower_case(word);
    if (!line.starts_with('%')) {
      unknown_.push_back(base::cat("blanks before %", section));
    } else if (section == "files") {
      begin_files(arguments);
    } else if (is_one_of(section, kAppSections)) {
      begin_app(section, arguments);
    } else if (is_one_of(section, kSections)) {
      begin_text(stage().sections, section, arguments);
    } else {
      unknown_.push_back(section);
    }
  }

  void begin_text(Sections& sections, std::string_view name, std::string_view arguments) {
    section_ = &sections[std::string(name)];
    if (section_->arguments.empty()) section_->arguments = arguments;
    add_line_ = &DefinitionReader::add_text;
  }

  void begin_files(std::string_view arguments) {
    const auto [word, from] = split_word(arguments);
    FileList& list = stage().files.emplace_back();
    if (base::lower_case(word) == "from") {
      list.stage = split_word(from).first;
    } else if (!word.empty() && !word.starts_with('#')) {
      fail("%files ", base::printable(arguments), ": only `from STAGE` may stand there");
    }
    copies_ = &list.copies;
    add_line_ = &DefinitionReader::add_copy;
  }

  void begin_app(const std::string& section, std::string_view arguments) {
    const std::string name(split_word(arguments).first);
    if (name.empty())
      fail("app section ", section, ": could not be split into section name and app name");
    if (name.starts_with('.') || !std::ranges::all_of(name, is_app_character)) {
      fail("app section ", section, " ", base::printable(name),
           ": names of apps have letters, digits, '_', '-' and '.'");
    }
    std::vector<App>& apps = stage().apps;
    auto app = std::ranges::find(apps, name, &App::name);
    if (app == apps.end()) app = apps.insert(app, App{name, {}, {}});
    if (section != "appfiles") return begin_text(app->sections, section.substr(3), "");
    copies_ = &app->copies;
    add_line_ = &DefinitionReader::add_copy;
  }

  void add_text(const std::string& line) { section_->text += line + "\n"; }

  void add_copy(const std::string& line) {
    const std::string_view content = base::trimmed(line);
    if (content.empty() || content.starts_with('#')) return;
    // More words are a comment, mostly.
    const std::vector<std::string> words = WordReader(content, 1).read();
    copies_->push_back({words[0], words.size() > 1 && !words[1].starts_with('#') ? words[1] : ""});
  }

  std::string name_;
  std::vector<Stage> stages_;
  std::vector<std::string> unknown_;
  // What the lines belong to: nullptr while they are a header's.
  void (DefinitionReader::*add_line_)(const std::string& line) = nullptr;
  Section* section_ = nullptr;
  std::vector<FileCopy>* copies_ = nullptr;
};

}  // namespace

const Section* Stage::find(std::string_view section) const {
  const auto found = sections.find(section);
  return found == sections.end() ? nullptr : &found->second;
}

std::string Stage::header_value(std::string_view key) const {
  const auto found = header.find(key);
  return found == header.end() ? "" : found->second;
}

std::vector<Stage> parse_definition(std::string_view text, std::string_view name) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  return DefinitionReader(name).read(text);
}

std::vector<std::string> split_words(std::string_view text) { return WordReader(text, 0).read(); }

std::vector<std::pair<std::string, std::string>> parse_labels(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> labels;
  for (const std::string& line : base::split(text, '\n')) {
    const auto [key, value] = split_word(line);
    if (!key.empty() && !key.starts_with('#')) labels.emplace_back(key, value);
  }
  return labels;
}

}  // namespace definition
