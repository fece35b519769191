// SPDX-License-Identifier: Apache-2.0
#include "runtime/environment.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/log.h"
#include "base/text.h"
#include "shell/variables.h"

namespace runtime {

namespace {

// Pass even with --cleanenv.
constexpr std::array<std::string_view, 11> kAlwaysForwarded = {
    "TERM",     "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy",
    "NO_PROXY", "all_proxy",  "ALL_PROXY",  "ftp_proxy",   "FTP_PROXY"};

// Never taken from the host.
constexpr std::array<std::string_view, 5> kWithheld = {"HOME", "PATH", "LD_LIBRARY_PATH", "UID",
                                                       "GID"};

constexpr std::array<std::string_view, 6> kNotInjectable = {
    "HOME", "APPTAINER_SHELL", "SINGULARITY_SHELL", "APPTAINER_APPNAME", "SINGULARITY_APPNAME", ""};

// Lowest precedence first.
constexpr std::array<std::string_view, 2> kInjectionPrefixes = {"SINGULARITYENV_", "APPTAINERENV_"};
constexpr std::array<std::string_view, 2> kOwnPrefixes = {"APPTAINER_", "SINGULARITY_"};

template <typename Range>
bool contains(const Range& range, std::string_view name) {
  return std::find(std::begin(range), std::end(range), name) != std::end(range);
}

std::optional<EnvironmentVariable> split_entry(const std::string& entry) {
  const std::size_t equals = entry.find('=');
  if (equals == std::string::npos || equals == 0) return std::nullopt;
  return EnvironmentVariable{entry.substr(0, equals), entry.substr(equals + 1)};
}

bool is_forwarded(const std::string& name, const EnvironmentRequest& request) {
  if (contains(request.withheld, name) || contains(kWithheld, name)) return false;
  for (const std::string_view prefix : kOwnPrefixes)
    if (name.starts_with(prefix)) return false;
  for (const std::string_view prefix : kInjectionPrefixes)
    if (name.starts_with(prefix)) return false;
  return !request.clean || contains(kAlwaysForwarded, name);
}

// Sets or replaces, keeping the place of the first mention.
void put(std::vector<EnvironmentVariable>* variables, const EnvironmentVariable& variable) {
  for (EnvironmentVariable& existing : *variables) {
    if (existing.name != variable.name) continue;
    existing.value = variable.value;
    return;
  }
  variables->push_back(variable);
}

// `origin` is how the user wrote the name.
void inject(InjectedEnvironment* result, const EnvironmentVariable& variable,
            std::string_view origin) {
  const std::string& name = variable.name;
  if (contains(kNotInjectable, name)) {
    if (!name.empty())
      base::log_warning("Overriding ", name, " environment variable with ", origin,
                        " is not permitted");
    return;
  }
  const std::array<std::pair<std::string_view, std::string*>, 5> special = {
      {{"PREPEND_PATH", &result->prepend_path},
       {"APPEND_PATH", &result->append_path},
       {"PATH", &result->path},
       {"PREPEND_LD_LIBRARY_PATH", &result->prepend_ld_library_path},
       {"APPEND_LD_LIBRARY_PATH", &result->append_ld_library_path}}};
  for (const auto& [special_name, target] : special) {
    if (special_name != name) continue;
    *target = variable.value;
    return;
  }
  if (name == "UID" || name == "GID" || !shell::is_name(name)) return;
  put(&result->variables, variable);
}

}  // namespace

std::vector<EnvironmentVariable> forwarded_host_variables(const EnvironmentRequest& request) {
  std::vector<EnvironmentVariable> result;
  if (request.clean) result.push_back({"LANG", "C"});
  for (const std::string& entry : request.host) {
    const std::optional<EnvironmentVariable> variable = split_entry(entry);
    if (variable && shell::is_name(variable->name) && is_forwarded(variable->name, request))
      put(&result, *variable);
  }
  for (const EnvironmentVariable& variable : request.additional) put(&result, variable);
  return result;
}

std::vector<std::string> forwarded_host_entries(const EnvironmentRequest& request) {
  std::vector<std::string> result;
  for (const std::string& entry : request.host) {
    const std::optional<EnvironmentVariable> variable = split_entry(entry);
    if (variable && !shell::is_name(variable->name) && is_forwarded(variable->name, request))
      result.push_back(entry);
  }
  return result;
}

InjectedEnvironment injected_environment(const EnvironmentRequest& request,
                                         const std::vector<EnvironmentVariable>& from_files) {
  InjectedEnvironment result;
  for (const std::string_view prefix : kInjectionPrefixes) {
    for (const std::string& entry : request.host) {
      if (!entry.starts_with(prefix)) continue;
      const std::optional<EnvironmentVariable> variable = split_entry(entry);
      if (!variable) continue;
      const std::string name = variable->name.substr(prefix.size());
      for (const EnvironmentVariable& earlier : result.variables)
        if (earlier.name == name && earlier.value != variable->value)
          base::log_warning("SINGULARITYENV_", name, " and APPTAINERENV_", name,
                            " have different values, using the latter");
      inject(&result, {name, variable->value}, variable->name);
    }
  }
  for (const EnvironmentVariable& variable : from_files)
    inject(&result, variable, "--env-file " + variable.name);
  for (const EnvironmentVariable& variable : request.assignments)
    inject(&result, variable, "--env " + variable.name);
  return result;
}

std::vector<EnvironmentVariable> container_variables(const EnvironmentRequest& request,
                                                     std::string_view command) {
  const std::vector<EnvironmentVariable> values = {
      {"CONTAINER", request.image_path},   {"NAME", request.image_name},
      {"INSTANCE", request.instance_name}, {"BIND", base::join(request.bind_destinations, ",")},
      {"APPNAME", request.app_name},       {"NO_EVAL", request.no_eval ? "1" : ""}};
  // The only one that Apptainer sets under its own name alone.
  std::vector<EnvironmentVariable> result = {{"APPTAINER_COMMAND", std::string(command)}};
  for (const EnvironmentVariable& variable : values) {
    // Apptainer sets these two even if they are empty.
    if (variable.value.empty() && variable.name == "APPNAME")
      result.push_back({"APPTAINER_APPNAME", ""});
    if (variable.value.empty() && variable.name != "BIND") continue;
    for (const std::string_view prefix : kOwnPrefixes)
      result.push_back({std::string(prefix) + variable.name, variable.value});
  }
  return result;
}

std::string with_default_path(std::string_view path) {
  std::vector<std::string> entries;
  if (!path.empty()) entries = base::split(path, ':');
  const std::size_t given = entries.size();
  for (const std::string& entry : base::split(kDefaultPath, ':')) {
    const auto end = entries.begin() + static_cast<std::ptrdiff_t>(given);
    if (std::find(entries.begin(), end, entry) == end) entries.push_back(entry);
  }
  return base::join(entries, ":");
}

}  // namespace runtime
