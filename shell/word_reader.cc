// SPDX-License-Identifier: Apache-2.0
// The part of the lexer that reads one word: quoting and the expansions inside (XCU 2.2, 2.6).
#include <cctype>

#include "shell/lexer.h"
#include "shell/parser.h"

namespace shell {

namespace {

void append_text(Word* word, PartKind kind, std::string_view text) {
  if (word->parts.empty() || word->parts.back().kind != kind) {
    WordPart part;
    part.kind = kind;
    word->parts.push_back(std::move(part));
  }
  word->parts.back().text += text;
}

bool is_name_start(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool is_name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }
bool is_special_parameter(char c) {
  return c != '\0' && std::string_view("@*#?-$!0123456789").find(c) != std::string_view::npos;
}

void append_utf8(std::string* out, unsigned code) {
  if (code < 0x80) {
    *out += static_cast<char>(code);
  } else if (code < 0x800) {
    *out += static_cast<char>(0xC0 | (code >> 6));
    *out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    *out += static_cast<char>(0xE0 | (code >> 12));
    *out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    *out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    *out += static_cast<char>(0xF0 | ((code >> 18) & 7));
    *out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    *out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    *out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

}  // namespace

Word Lexer::read_word(Stop stop) {
  Word word;
  int parens = 0;
  while (!at_end() && !stops(stop, &parens)) read_part(stop, false, &word);
  return word;
}

bool Lexer::stops(Stop stop, int* parens) const {
  const char c = at(0);
  switch (stop) {
    case Stop::metacharacter:
      return std::string_view(" \t\r\n;&|<>()").find(c) != std::string_view::npos;
    case Stop::brace:
      return c == '}';
    case Stop::brace_slash:
      return c == '}' || c == '/';
    case Stop::brace_colon:
      return c == '}' || c == ':';
    case Stop::bracket:
      return c == ']';
    case Stop::quote:
      return c == '"';
    case Stop::never:
      return false;
    case Stop::regex:
      if (c == '(') ++*parens;
      if (c == ')' && --*parens < 0) return true;
      return *parens <= 0 && std::string_view(" \t\r\n").find(c) != std::string_view::npos;
  }
  return true;
}

void Lexer::read_part(Stop stop, bool in_quotes, Word* word) {
  const char c = at(0);
  if (c == '\\') return read_backslash(in_quotes, stop, word);
  if (c == '`') return read_backquotes(in_quotes, word);
  if (c == '$' && read_dollar(in_quotes, word)) return;
  if (c == '\'' && !in_quotes) return read_single_quotes(word);
  if (c == '"' && stop != Stop::never) return read_double_quotes(word);
  if (c == '\0') fail("a NUL byte in the script");
  append_text(word, in_quotes ? PartKind::quoted : PartKind::literal, text_.substr(position_, 1));
  advance();
}

void Lexer::read_backslash(bool in_quotes, Stop stop, Word* word) {
  const char following = at(1);
  if (following == '\n') return advance(2);
  const bool special = !in_quotes || following == '$' || following == '`' || following == '\\' ||
                       (following == '"' && stop != Stop::never) ||
                       (following == '}' && (stop == Stop::brace || stop == Stop::brace_slash)) ||
                       (following == '/' && stop == Stop::brace_slash);
  if (!special || following == '\0') {
    append_text(word, PartKind::quoted, "\\");
    return advance();
  }
  append_text(word, PartKind::quoted, std::string_view(&following, 1));
  advance(2);
}

void Lexer::read_single_quotes(Word* word) {
  const std::size_t close = text_.find('\'', position_ + 1);
  if (close == std::string_view::npos) fail("unterminated quoted string");
  append_text(word, PartKind::quoted, text_.substr(position_ + 1, close - position_ - 1));
  advance(close + 1 - position_);
}

void Lexer::read_double_quotes(Word* word) {
  deeper();
  const int start = line_;
  advance();
  WordPart quotes;
  quotes.kind = PartKind::double_quotes;
  Word content;
  while (!at_end() && at(0) != '"') read_part(Stop::quote, true, &content);
  if (at_end()) fail_at(start, "unterminated quoted string");
  advance();
  quotes.parts = std::move(content.parts);
  word->parts.push_back(std::move(quotes));
  shallower();
}

void Lexer::read_ansi_quotes(Word* word) {
  const int start = line_;
  advance(2);
  std::string text;
  while (!at_end() && at(0) != '\'') {
    if (at(0) == '\\') {
      text += ansi_escape();
    } else {
      text += at(0);
      advance();
    }
  }
  if (at_end()) fail_at(start, "unterminated $'...' string");
  advance();
  append_text(word, PartKind::quoted, text);
}

std::string Lexer::ansi_escape() {
  static constexpr std::string_view kNames = "abefnrtvE\\'\"?";
  static constexpr std::string_view kValues = "\a\b\033\f\n\r\t\v\033\\'\"?";
  advance();
  const char kind = at(0);
  std::string text;
  if (const std::size_t i = kNames.find(kind); kind != '\0' && i != std::string_view::npos) {
    advance();
    return std::string(1, kValues[i]);
  }
  unsigned value = 0;
  if (kind >= '0' && kind <= '7') {
    for (int i = 0; i < 3 && at(0) >= '0' && at(0) <= '7'; ++i, advance())
      value = value * 8 + static_cast<unsigned>(at(0) - '0');
    return std::string(1, static_cast<char>(value));
  }
  if (kind == 'x' || kind == 'u' || kind == 'U') {
    const int digits = kind == 'x' ? 2 : kind == 'u' ? 4 : 8;
    advance();
    for (int i = 0; i < digits && std::isxdigit(static_cast<unsigned char>(at(0))); ++i, advance())
      value = value * 16 +
              static_cast<unsigned>(at(0) <= '9' ? at(0) - '0' : std::tolower(at(0)) - 'a' + 10);
    if (kind == 'x') return std::string(1, static_cast<char>(value));
    append_utf8(&text, value & 0x1FFFFF);
    return text;
  }
  return "\\";
}

void Lexer::read_backquotes(bool in_quotes, Word* word) {
  deeper();
  const int start = line_;
  advance();
  std::string script;
  while (!at_end() && at(0) != '`') {
    const char following = at(1);
    if (at(0) == '\\' && (following == '`' || following == '\\' || following == '$' ||
                          (in_quotes && following == '"'))) {
      script += following;
      advance(2);
    } else {
      script += at(0);
      advance();
    }
  }
  if (at_end()) fail_at(start, "unterminated `");
  advance();
  WordPart part;
  part.kind = PartKind::command;
  part.command = parse_script(script, name_, start, depth_);
  word->parts.push_back(std::move(part));
  shallower();
}

// False if the dollar sign stands for itself.
bool Lexer::read_dollar(bool in_quotes, Word* word) {
  const char following = at(1);
  if (following == '\'' && !in_quotes) {
    read_ansi_quotes(word);
    return true;
  }
  if (following == '"' && !in_quotes) {
    advance();
    read_double_quotes(word);
    return true;
  }
  if (following == '(') {
    if (at(2) == '(' && read_arithmetic_expansion(word)) return true;
    read_command_substitution(word);
    return true;
  }
  if (following == '{') {
    read_braced_parameter(in_quotes, word);
    return true;
  }
  if (!is_name_start(following) && !is_special_parameter(following)) return false;
  advance();
  WordPart part;
  part.kind = PartKind::parameter;
  if (is_name_start(following)) {
    part.text = read_parameter_name();
  } else {
    part.text = std::string(1, following);
    advance();
  }
  word->parts.push_back(std::move(part));
  return true;
}

void Lexer::read_command_substitution(Word* word) {
  deeper();
  std::size_t consumed = 0;
  int line = line_;
  WordPart part;
  part.kind = PartKind::command;
  part.command = parse_substitution(text_.substr(position_ + 2), name_, depth_, &consumed, &line);
  advance(consumed + 2);
  word->parts.push_back(std::move(part));
  shallower();
}

// "$((" may also begin a command substitution that starts with a subshell; then false.
bool Lexer::read_arithmetic_expansion(Word* word) {
  const std::size_t start = position_ + 3;
  const std::size_t end = find_arithmetic_end(start);
  if (end == std::string_view::npos) return false;
  WordPart part;
  part.kind = PartKind::arithmetic;
  part.parts = quoted_word(text_.substr(start, end - start), line_).parts;
  advance(end + 2 - position_);
  word->parts.push_back(std::move(part));
  return true;
}

std::string Lexer::read_parameter_name() {
  std::string name;
  if (is_name_start(at(0))) {
    for (; is_name_char(at(0)); advance()) name += at(0);
  } else if (std::isdigit(static_cast<unsigned char>(at(0)))) {
    for (; std::isdigit(static_cast<unsigned char>(at(0))); advance()) name += at(0);
    if (name.size() > 9) fail("bad substitution");
  } else if (is_special_parameter(at(0))) {
    name = std::string(1, at(0));
    advance();
  } else {
    fail("bad substitution");
  }
  return name;
}

void Lexer::read_braced_parameter(bool in_quotes, Word* word) {
  deeper();
  const int start = line_;
  advance(2);
  WordPart part;
  part.kind = PartKind::parameter;
  // ${#} ${#-w} are the parameter #, ${#x} is a length; ${!} ${!-w} the parameter !.
  const bool operand = at(1) != '}' && (is_name_start(at(1)) || is_special_parameter(at(1)));
  const bool hash_operator = at(1) == '-' || at(1) == '?' || at(1) == '#';
  if (at(0) == '#' && operand && !(hash_operator && at(2) != '}')) {
    part.op = ParameterOp::length;
    advance();
  } else if (at(0) == '!' &&
             (is_name_start(at(1)) || std::isdigit(static_cast<unsigned char>(at(1))))) {
    part.indirect = true;
    advance();
  }
  part.text = read_parameter_name();
  if (at(0) == '[') {
    advance();
    part.index = read_argument(Stop::bracket, true);
    if (at(0) != ']') fail("bad substitution");
    advance();
  }
  if (part.indirect && (at(0) == '*' || at(0) == '@') && at(1) == '}') {
    part.op = ParameterOp::names;
    part.indirect = false;
    advance();
  }
  if (at(0) != '}') {
    if (part.op != ParameterOp::none) fail("bad substitution");
    read_parameter_operator(in_quotes, &part);
  }
  if (at_end()) fail_at(start, "no closing } for ${");
  if (at(0) != '}') fail("bad substitution");
  advance();
  word->parts.push_back(std::move(part));
  shallower();
}

}  // namespace shell
