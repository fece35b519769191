// SPDX-License-Identifier: Apache-2.0
#include "runtime/host_additions.h"

#include <iterator>

#include "base/text.h"

namespace runtime {
namespace {

template <typename T>
void move_behind(std::vector<T>& to, std::vector<T>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

void HostAdditions::append(HostAdditions other) {
  move_behind(binds, other.binds);
  move_behind(libraries, other.libraries);
  move_behind(libraries32, other.libraries32);
  if (nvidia_version.empty()) nvidia_version = std::move(other.nvidia_version);
  move_behind(devices, other.devices);
  move_behind(variables, other.variables);
  move_behind(overrides, other.overrides);
  move_behind(path_front, other.path_front);
  move_behind(path_back, other.path_back);
  move_behind(environments, other.environments);
  move_behind(anchors, other.anchors);
  move_behind(dependent_variables, other.dependent_variables);
  move_behind(needs, other.needs);
  move_behind(library_back, other.library_back);
  move_behind(notes, other.notes);
  move_behind(warnings, other.warnings);
}

std::optional<std::string_view> find_variable(const std::vector<std::string>& environment,
                                              std::string_view name) {
  for (auto entry = environment.rbegin(); entry != environment.rend(); ++entry) {
    if (entry->size() > name.size() && (*entry)[name.size()] == '=' && entry->starts_with(name))
      return std::string_view(*entry).substr(name.size() + 1);
  }
  return std::nullopt;
}

std::string variable_or_empty(const std::vector<std::string>& environment, std::string_view name) {
  return std::string(find_variable(environment, name).value_or(""));
}

void pass_variables(const std::vector<std::string>& environment,
                    std::span<const std::string_view> names, HostAdditions& additions) {
  for (const std::string_view name : names) {
    if (const auto value = find_variable(environment, name))
      additions.variables.push_back({std::string(name), std::string(*value)});
  }
}

void add_program(const RootTree& tree, std::span<const std::string_view> directories,
                 std::string_view name, HostAdditions& additions) {
  for (const std::string_view directory : directories) {
    const std::optional<std::string> file = tree.resolve(base::cat(directory, "/", name));
    if (!file) continue;
    additions.binds.push_back({tree.outside(*file), base::cat("/usr/bin/", name)});
    return;
  }
}

bool is_display_node(std::string_view name) {
  return name.starts_with("card") || name.starts_with("renderD");
}

void set_variable(std::vector<std::string>& environment, const std::string& name,
                  const std::string& value) {
  std::erase_if(environment,
                [&](const std::string& entry) { return entry.starts_with(name + "="); });
  environment.push_back(name + "=" + value);
}

}  // namespace runtime
