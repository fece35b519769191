// SPDX-License-Identifier: Apache-2.0
// Shell variables with their attributes, and the scopes of `local`.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace shell {

// Of an indexed array, by indices from 0 to kMaxArrayIndex, behind which a number is left: that of
// the next one.
using Elements = std::map<std::int64_t, std::string>;
inline constexpr std::int64_t kMaxArrayIndex = INT64_MAX - 1;

struct Variable {
  std::optional<std::string> value;  // nullopt: declared only (`export X`)
  std::optional<Elements> elements;  // of an array
  bool exported = false;
  bool readonly = false;
};

// Shell identifier: [A-Za-z_][A-Za-z0-9_]*.
bool is_name(std::string_view text);

// "x[3]" is element 3 of x; other text is a name alone.
struct ElementName {
  std::string array;
  std::optional<std::int64_t> index;
};
ElementName split_element(const std::string& text);

class Variables {
 public:
  // Imports "NAME=value" entries as exported variables; entries whose name is no identifier are
  // dropped.
  void import_environment(const std::vector<std::string>& entries);

  const Variable* find(const std::string& name) const;
  // The scalar value (element 0 of an array); null if unset.
  const std::string* value(const std::string& name) const;
  // The same for a name that may be an element's, as "x[3]"; from the end if negative.
  const std::string* element(const std::string& name) const;
  const std::string* element(const std::string& array, std::int64_t index) const;
  std::string value_or(const std::string& name, std::string_view fallback) const;

  // Creates the variable if needed. Throws base::Error if it is read-only.
  Variable& writable(const std::string& name);
  void set(const std::string& name, std::string value);
  void set_exported(const std::string& name, std::string value);
  void unset(const std::string& name);
  // Also of a read-only variable.
  void set_export_flag(const std::string& name, bool exported);

  // Names in order; of the exported ones with a value, "NAME=value".
  std::vector<std::string> names() const;
  std::vector<std::string> environment() const;

  // Function calls: variables made local keep their old value until the scope ends.
  void enter_scope() { scopes_.emplace_back(); }
  void leave_scope();
  // Hides the variable in the current scope. It keeps its attributes but not its value.
  void make_local(const std::string& name);
  // Saves the variable as it is, to be restored when the scope ends.
  void save(const std::string& name);

 private:
  using Scope = std::unordered_map<std::string, std::optional<Variable>>;

  std::unordered_map<std::string, Variable> variables_;
  std::vector<Scope> scopes_;
};

}  // namespace shell
