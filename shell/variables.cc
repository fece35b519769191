// SPDX-License-Identifier: Apache-2.0
#include "shell/variables.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/error.h"

namespace shell {

bool is_name(std::string_view text) {
  if (text.empty() || std::isdigit(static_cast<unsigned char>(text[0]))) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return c == '_' || std::isalnum(static_cast<unsigned char>(c));
  });
}

ElementName split_element(const std::string& text) {
  const std::size_t open = text.find('[');
  std::int64_t index = 0;
  if (open == std::string::npos ||
      std::from_chars(text.data() + open + 1, text.data() + text.size(), index).ec != std::errc())
    return {text, {}};
  return {text.substr(0, open), index};
}

void Variables::import_environment(const std::vector<std::string>& entries) {
  for (const std::string& entry : entries) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos || !is_name(std::string_view(entry).substr(0, equals)))
      continue;
    const std::string name = entry.substr(0, equals);
    // Shells begin with values of their own for these.
    if (name == "IFS" || name == "OPTIND") {
      set_export_flag(name, true);
    } else {
      set_exported(name, entry.substr(equals + 1));
    }
  }
}

const Variable* Variables::find(const std::string& name) const {
  const auto found = variables_.find(name);
  return found == variables_.end() ? nullptr : &found->second;
}

const std::string* Variables::value(const std::string& name) const {
  const Variable* variable = find(name);
  if (!variable) return nullptr;
  if (variable->elements) {
    const auto first = variable->elements->find(0);
    return first == variable->elements->end() ? nullptr : &first->second;
  }
  return variable->value ? &*variable->value : nullptr;
}

const std::string* Variables::element(const std::string& name) const {
  const auto [array, index] = split_element(name);
  return index ? element(array, *index) : value(name);
}

const std::string* Variables::element(const std::string& array, std::int64_t index) const {
  const Variable* variable = find(array);
  if (!variable || !variable->elements) return index == 0 ? value(array) : nullptr;
  if (index < 0 && !variable->elements->empty()) index += variable->elements->rbegin()->first + 1;
  const auto found = variable->elements->find(index);
  return found == variable->elements->end() ? nullptr : &found->second;
}

std::string Variables::value_or(const std::string& name, std::string_view fallback) const {
  const std::string* found = value(name);
  return found ? *found : std::string(fallback);
}

Variable& Variables::writable(const std::string& name) {
  Variable& variable = variables_[name];
  if (variable.readonly) throw base::error(name, ": is read only");
  return variable;
}

void Variables::set(const std::string& name, std::string value) {
  Variable& variable = writable(name);
  if (variable.elements) {
    (*variable.elements)[0] = std::move(value);
  } else {
    variable.value = std::move(value);
  }
}

void Variables::set_exported(const std::string& name, std::string value) {
  set(name, std::move(value));
  variables_[name].exported = true;
}

void Variables::set_export_flag(const std::string& name, bool exported) {
  variables_[name].exported = exported;
}

void Variables::unset(const std::string& name) {
  const auto found = variables_.find(name);
  if (found == variables_.end()) return;
  if (found->second.readonly) throw base::error(name, ": is read only");
  variables_.erase(found);
}

std::vector<std::string> Variables::names() const {
  std::vector<std::string> names;
  for (const auto& [name, variable] : variables_) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> Variables::environment() const {
  std::vector<std::string> entries;
  for (const auto& [name, variable] : variables_)
    if (variable.exported && variable.value) entries.push_back(name + "=" + *variable.value);
  std::sort(entries.begin(), entries.end());
  return entries;
}

void Variables::save(const std::string& name) {
  const Variable* current = find(name);
  scopes_.back().emplace(name, current ? std::optional<Variable>(*current) : std::nullopt);
}

void Variables::make_local(const std::string& name) {
  if (find(name) && find(name)->readonly) throw base::error(name, ": is read only");
  if (scopes_.back().contains(name)) return;
  save(name);
  Variable& variable = variables_[name];
  variable.value.reset();
  variable.elements.reset();
}

void Variables::leave_scope() {
  for (auto& [name, variable] : scopes_.back()) {
    if (variable) {
      variables_[name] = std::move(*variable);
    } else {
      variables_.erase(name);
    }
  }
  scopes_.pop_back();
}

}  // namespace shell
