// SPDX-License-Identifier: Apache-2.0
#include "shell/expansion.h"

#include "base/syscalls.h"
#include "shell/brace_expansion.h"
#include "shell/pattern.h"

namespace shell {

namespace {

// Home of a user in the container's own /etc/passwd: a static program has no name service.
std::optional<std::string> find_home(const std::string& user) {
  const std::optional<std::string> passwd = base::find_small_file("/etc/passwd", 16 << 20);
  if (!passwd) return std::nullopt;
  for (const std::string& line : base::split(*passwd, '\n')) {
    const std::vector<std::string> fields = base::split(line, ':');
    if (fields.size() >= 6 && fields[0] == user) return fields[5];
  }
  return std::nullopt;
}

std::string final_text(const Field& field) {
  std::string text;
  for (std::size_t i = 0; i < field.text.size(); ++i)
    if (field.mask[i] != 'm') text += field.text[i];
  return text;
}

void expand_unbraced(Interpreter& shell, const Word& word, std::vector<std::string>* fields) {
  WordExpansion expansion(shell, true);
  expansion.word(word, false);
  const std::string ifs = shell.variables().value_or("IFS", " \t\n");
  const bool paths = !shell.flag('f') && shell.options().files;
  for (const Field& whole : expansion.fields()) {
    for (const Field& field : split_fields(whole, ifs)) {
      const std::string pattern = paths ? pattern_of(field) : std::string();
      if (paths && has_wildcard(pattern)) {
        const std::vector<std::string> found = matching_paths(pattern);
        fields->insert(fields->end(), found.begin(), found.end());
        if (!found.empty()) continue;
      }
      fields->push_back(final_text(field));
    }
  }
}

}  // namespace

std::string pattern_of(const Field& field) {
  std::string pattern;
  for (std::size_t i = 0; i < field.text.size(); ++i) {
    if (field.mask[i] == 'm') continue;
    if (field.mask[i] == 'q') {
      append_escaped(&pattern, field.text[i]);
    } else {
      pattern += field.text[i];
    }
  }
  return pattern;
}

// A run of IFS blanks separates; any other IFS character, with the blanks around it, delimits.
std::vector<Field> split_fields(const Field& field, const std::string& ifs) {
  std::vector<Field> fields;
  Field current;
  bool active = false, after_blank = false;
  const auto finish = [&] {
    fields.push_back(std::move(current));
    current = Field();
    active = false;
  };
  for (std::size_t i = 0; i < field.text.size(); ++i) {
    const char c = field.text[i];
    if (field.mask[i] != 'e' || ifs.find(c) == std::string::npos) {
      current.append(std::string_view(&c, 1), field.mask[i]);
      active = true;
      after_blank = false;
    } else if (c == ' ' || c == '\t' || c == '\n') {
      if (active) {
        finish();
        after_blank = true;
      }
    } else {
      if (active || !after_blank) finish();
      after_blank = false;
    }
  }
  if (active) finish();
  return fields;
}

void expand_fields(Interpreter& shell, const Word& word, std::vector<std::string>* fields) {
  if (!has_brace(word)) return expand_unbraced(shell, word, fields);
  std::size_t counted = fields->size(), size = 0;
  expand_braces(word, [&](const Word& each) {
    shell.step();
    expand_unbraced(shell, each, fields);
    for (; counted < fields->size(); ++counted) size += (*fields)[counted].size() + 1;
    if (size > shell.options().max_value_bytes)
      throw base::error(shell.script_name(), ": line ", shell.current_line(),
                        ": the words of a brace expansion grow too large");
  });
}

std::string expand_text(Interpreter& shell, const Word& word, bool assignment) {
  WordExpansion expansion(shell, false);
  expansion.word(word, assignment);
  std::string text;
  for (std::size_t i = 0; i < expansion.fields().size(); ++i) {
    if (i > 0) text += ' ';
    text += final_text(expansion.fields()[i]);
  }
  return text;
}

std::string expand_pattern(Interpreter& shell, const Word& word) {
  WordExpansion expansion(shell, false);
  expansion.word(word, false);
  std::string pattern;
  for (std::size_t i = 0; i < expansion.fields().size(); ++i) {
    if (i > 0) pattern += ' ';
    pattern += pattern_of(expansion.fields()[i]);
  }
  return pattern;
}

void WordExpansion::word(const Word& word, bool assignment) {
  for (std::size_t i = 0; i < word.parts.size(); ++i) {
    const WordPart& p = word.parts[i];
    const bool may_have_tilde =
        p.kind == PartKind::literal && p.text.find('~') != std::string::npos;
    if (may_have_tilde && (i == 0 || assignment)) {
      literal_with_tildes(p.text, assignment, i + 1 == word.parts.size());
    } else {
      part(p, 'l');
    }
  }
}

// Tildes count at the start of a word and, in assignments, after each colon. One whose name runs
// into the next part of the word (~"x") stays as it is.
void WordExpansion::literal_with_tildes(const std::string& text, bool assignment, bool last_part) {
  std::size_t i = 0;
  bool at_start = fields_.back().text.empty() || (assignment && fields_.back().text.back() == ':');
  while (i < text.size()) {
    if (text[i] == '~' && at_start) {
      if (const std::size_t taken = tilde(text.substr(i), assignment, last_part); taken > 0) {
        i += taken;
        at_start = false;
        continue;
      }
    }
    at_start = assignment && text[i] == ':';
    append(std::string_view(text).substr(i, 1), 'l');
    ++i;
  }
}

// Length of the tilde prefix that was expanded, 0 if there is none.
std::size_t WordExpansion::tilde(const std::string& text, bool assignment, bool last_part) {
  const std::size_t end = text.find_first_of(assignment ? "/:" : "/");
  if (end == std::string::npos && !last_part) return 0;
  const std::string user = text.substr(1, end == std::string::npos ? end : end - 1);
  std::optional<std::string> home;
  if (user.empty()) {
    if (const std::string* value = shell_.variables().value("HOME")) home = *value;
  } else if (shell_.options().files && is_name(user)) {
    home = find_home(user);
  }
  if (!home) return 0;
  append(std::string_view("\0", 1), 'm');
  append(*home, 'q');
  return user.size() + 1;
}

void WordExpansion::part(const WordPart& part, char literal_kind) {
  const bool quoted = literal_kind == 'q';
  const char kind = quoted ? 'q' : 'e';
  switch (part.kind) {
    case PartKind::literal:
      return append(part.text, literal_kind);
    case PartKind::quoted:
      append(std::string_view("\0", 1), 'm');
      return append(part.text, 'q');
    case PartKind::double_quotes:
      return double_quotes(part);
    case PartKind::parameter:
      return parameter(part, quoted);
    case PartKind::command:
      return append(shell_.substitute(part.command), kind);
    case PartKind::arithmetic: {
      Word expression;
      expression.parts = part.parts;
      return append(std::to_string(shell_.arithmetic(expression)), kind);
    }
  }
}

void WordExpansion::double_quotes(const WordPart& part) {
  if (part.parts.size() == 1 && is_empty_list(part.parts[0])) return;
  append(std::string_view("\0", 1), 'm');
  for (const WordPart& inner : part.parts) this->part(inner, 'q');
}

void WordExpansion::argument(const Word& word, bool quoted) {
  for (std::size_t i = 0; i < word.parts.size(); ++i) {
    const WordPart& p = word.parts[i];
    if (i == 0 && !quoted && p.kind == PartKind::literal && p.text.starts_with('~')) {
      const std::size_t taken = tilde(p.text, false, word.parts.size() == 1);
      append(std::string_view(p.text).substr(taken), 'e');
    } else {
      part(p, quoted ? 'q' : 'e');
    }
  }
}

}  // namespace shell
