// SPDX-License-Identifier: Apache-2.0
// ${parameter} with its operators.
#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "shell/expansion.h"
#include "shell/pattern.h"

namespace shell {

namespace {

bool all_digits(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isdigit(static_cast<unsigned char>(c));
  });
}

// "@" or "*" if the index is one of these.
char list_index(const Word* index) {
  if (!index || index->parts.size() != 1) return '\0';
  const WordPart* part = &index->parts[0];
  if (part->kind == PartKind::double_quotes && part->parts.size() == 1) part = &part->parts[0];
  return part->text == "@" || part->text == "*" ? part->text[0] : '\0';
}

std::string joined(const std::vector<std::string>& items, const Variables& variables) {
  const std::string* ifs = variables.value("IFS");
  std::string separator = " ";
  if (ifs) separator = ifs->substr(0, 1);
  return base::join(items, separator);
}

void change_case(std::string* text, ParameterOp op) {
  const bool upper = op == ParameterOp::upper_first || op == ParameterOp::upper_all;
  const bool first = op == ParameterOp::upper_first || op == ParameterOp::lower_first;
  for (std::size_t i = 0; i < (first ? std::min<std::size_t>(1, text->size()) : text->size());
       ++i) {
    const auto c = static_cast<unsigned char>((*text)[i]);
    (*text)[i] = static_cast<char>(upper ? std::toupper(c) : std::tolower(c));
  }
}

}  // namespace

bool WordExpansion::is_empty_list(const WordPart& part) {
  if (part.kind != PartKind::parameter ||
      (part.op != ParameterOp::none && part.op != ParameterOp::use_alternative))
    return false;
  if (part.indirect) return list_index(part.index.get()) == '@' && indices(part).items.empty();
  if (part.text == "@") return shell_.state().arguments.empty();
  if (list_index(part.index.get()) != '@') return false;
  return lookup_name(part.text, part.index.get()).items.empty();
}

std::optional<std::string> WordExpansion::special_parameter(const std::string& name) {
  const State& state = shell_.state();
  if (all_digits(name)) {
    const std::size_t i = std::strtoul(name.c_str(), nullptr, 10);
    if (i == 0) return state.name;
    if (i > state.arguments.size()) return std::nullopt;
    return state.arguments[i - 1];
  }
  if (name == "#") return std::to_string(state.arguments.size());
  if (name == "?") return std::to_string(state.status);
  if (name == "-") return state.flags;
  if (name == "$") return std::to_string(shell_.process());  // in subshells, too
  if (name == "!" && state.last_background != 0) return std::to_string(state.last_background);
  return std::nullopt;
}

WordExpansion::Value WordExpansion::lookup_name(const std::string& name, const Word* index) {
  Value value;
  const char list = list_index(index);
  if (name == "@" || name == "*") {
    value.items = shell_.state().arguments;
    value.list = true;
    value.joined = name == "*";
    value.set = !value.items.empty();
    return value;
  }
  const Variable* variable = shell_.variables().find(name);
  if (list != '\0') {
    value.list = true;
    value.joined = list == '*';
    if (variable && variable->elements)
      for (const auto& [i, item] : *variable->elements) value.items.push_back(item);
    else if (variable && variable->value)
      value.items.push_back(*variable->value);
    value.set = !value.items.empty();
    return value;
  }
  std::optional<std::string> text;
  const std::int64_t at = index ? shell_.arithmetic(*index) : 0;
  if (const std::string* element = shell_.variables().element(name, at)) {
    text = *element;
  } else if (at == 0 && !(variable && variable->elements)) {
    text = is_name(name) ? shell_.find_dynamic(name) : special_parameter(name);
  }
  value.set = text.has_value();
  value.items.push_back(text.value_or(""));
  return value;
}

// ${!name[@]}
WordExpansion::Value WordExpansion::indices(const WordPart& part) {
  Value value;
  value.list = true;
  value.joined = list_index(part.index.get()) == '*';
  const Variable* variable = shell_.variables().find(part.text);
  if (variable && variable->elements) {
    for (const auto& [index, item] : *variable->elements)
      value.items.push_back(std::to_string(index));
  } else if (variable && variable->value) {
    value.items.emplace_back("0");
  }
  value.set = !value.items.empty();
  return value;
}

WordExpansion::Value WordExpansion::lookup(const WordPart& part) {
  if (part.op == ParameterOp::names) {
    Value value;
    value.list = value.set = true;
    for (const std::string& name : shell_.variables().names())
      if (name.starts_with(part.text)) value.items.push_back(name);
    return value;
  }
  if (part.indirect && list_index(part.index.get()) != '\0') return indices(part);
  Value value = lookup_name(part.text, part.index.get());
  if (!part.indirect || value.list) return value;
  const std::string target = value.items[0];
  if (target != "@" && target != "*" && !is_name(target) && !all_digits(target)) {
    if (value.set) shell_.fail(base::cat(target, ": invalid variable name"), 1);
    return value;
  }
  return lookup_name(target.substr(0, 9999), nullptr);
}

void WordExpansion::parameter(const WordPart& part, bool quoted) {
  Value value = lookup(part);
  if (default_operator(part, value, quoted)) return;
  if (!value.set && !value.list && shell_.flag('u') && part.text != "@" && part.text != "*")
    shell_.fatal(base::cat(part.text, ": parameter not set"), 2);
  transform(part, &value);
  emit(value, quoted);
}

// Handles - = ? +; false if the parameter's value is to be used.
bool WordExpansion::default_operator(const WordPart& part, const Value& value, bool quoted) {
  const bool is_default = part.op == ParameterOp::use_default ||
                          part.op == ParameterOp::assign_default || part.op == ParameterOp::require;
  if (!is_default && part.op != ParameterOp::use_alternative) return false;
  const bool is_one = !value.list || value.items.size() == 1;
  const bool empty = is_one ? value.items[0].empty() : value.items.empty();
  const bool usable = value.set && !(part.colon && empty);
  if (part.op == ParameterOp::use_alternative) {
    if (usable) argument(*part.argument, quoted);
    return true;
  }
  if (usable) return false;
  if (part.op == ParameterOp::use_default) {
    argument(*part.argument, quoted);
    return true;
  }
  const std::string text = expand_text(shell_, *part.argument, true);
  if (part.op == ParameterOp::require) {
    const std::string message = text.empty() ? "parameter not set" : text;
    shell_.fatal(base::cat(part.text, ": ", message), 2);
  }
  if (!is_name(part.text)) shell_.fail(base::cat(part.text, ": bad variable name"));
  shell_.assign_value(part.text, text);
  append(text, quoted ? 'q' : 'e');
  return true;
}

void WordExpansion::transform(const WordPart& part, Value* value) {
  switch (part.op) {
    case ParameterOp::none:
    case ParameterOp::names:
      return;
    case ParameterOp::length: {
      const std::size_t size = value->list ? value->items.size() : value->items[0].size();
      *value = Value{{std::to_string(size)}, true, false, false};
      return;
    }
    case ParameterOp::substring:
      return slice(part, value);
    default:
      break;
  }
  for (std::string& item : value->items) {
    switch (part.op) {
      case ParameterOp::remove_prefix:
      case ParameterOp::remove_long_prefix:
      case ParameterOp::remove_suffix:
      case ParameterOp::remove_long_suffix:
        item = remove(part, item);
        break;
      case ParameterOp::upper_first:
      case ParameterOp::upper_all:
      case ParameterOp::lower_first:
      case ParameterOp::lower_all:
        change_case(&item, part.op);
        break;
      default:
        item = replace(part, item);
    }
  }
}

std::string WordExpansion::remove(const WordPart& part, const std::string& text) {
  const Pattern pattern(expand_pattern(shell_, *part.argument));
  const bool longest =
      part.op == ParameterOp::remove_long_prefix || part.op == ParameterOp::remove_long_suffix;
  if (part.op == ParameterOp::remove_prefix || part.op == ParameterOp::remove_long_prefix)
    return text.substr(pattern.prefix(text, longest).value_or(0));
  return text.substr(0, text.size() - pattern.suffix(text, longest).value_or(0));
}

std::string WordExpansion::replace(const WordPart& part, const std::string& text) {
  const Pattern pattern(expand_pattern(shell_, *part.argument));
  const std::string with = part.second ? expand_text(shell_, *part.second) : std::string();
  if (part.op == ParameterOp::replace_prefix) {
    const auto length = pattern.prefix(text, true);
    return length ? with + text.substr(*length) : text;
  }
  if (part.op == ParameterOp::replace_suffix) {
    const auto length = pattern.suffix(text, true);
    return length ? text.substr(0, text.size() - *length) + with : text;
  }
  std::string result;
  std::size_t i = 0;
  while (i < text.size()) {
    const auto length = pattern.prefix(std::string_view(text).substr(i), true);
    if (!length || *length == 0) {
      result += text[i++];
      continue;
    }
    result += with;
    i += *length;
    if (part.op == ParameterOp::replace_first) return result + text.substr(i);
    if (result.size() > shell_.options().max_value_bytes)
      throw base::error(part.text, ": the value grows too large");
  }
  return result;
}

void WordExpansion::slice(const WordPart& part, Value* value) {
  // ${@:0} starts with $0.
  if (value->list && (part.text == "@" || part.text == "*"))
    value->items.insert(value->items.begin(), shell_.state().name);
  const auto size =
      static_cast<std::int64_t>(value->list ? value->items.size() : value->items[0].size());
  std::int64_t start = shell_.arithmetic(*part.argument);
  std::int64_t count = part.second ? shell_.arithmetic(*part.second) : size;
  if (start < 0) start = start < -size ? size : start + size;
  start = std::min(start, size);
  if (count < 0) count = count < start - size ? 0 : size + count - start;
  count = std::clamp<std::int64_t>(count, 0, size - start);
  if (value->list) {
    value->items.erase(value->items.begin() + start + count, value->items.end());
    value->items.erase(value->items.begin(), value->items.begin() + start);
  } else {
    value->items[0] =
        value->items[0].substr(static_cast<std::size_t>(start), static_cast<std::size_t>(count));
  }
}

void WordExpansion::emit(const Value& value, bool quoted) {
  const char kind = quoted ? 'q' : 'e';
  if (value.joined && (quoted || !splits_))
    return append(joined(value.items, shell_.variables()), kind);
  for (std::size_t i = 0; i < value.items.size(); ++i) {
    if (i > 0) break_field();
    if (quoted && value.list) append(std::string_view("\0", 1), 'm');
    append(value.items[i], kind);
  }
}

}  // namespace shell
