// SPDX-License-Identifier: Apache-2.0
#include "runtime/conda_config.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "runtime/host_additions.h"
#include "runtime/yaml_json.h"

namespace runtime {
namespace {

constexpr std::size_t kMaxKnownEnvironments = 4096;

struct ListKey {
  std::string_view key;
  bool packages;
};
constexpr auto kListKeys = std::to_array<ListKey>({
    {"envs_dirs", false},
    {"envs_path", false},
    {"pkgs_dirs", true},
});
constexpr auto kVariables = std::to_array<ListKey>({
    {"CONDA_ENVS_PATH", false},
    {"CONDA_ENVS_DIRS", false},
    {"MAMBA_ENVS_DIRS", false},
    {"CONDA_PKGS_DIRS", true},
});

bool is_identifier_character(char c) {
  return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// ~, $NAME and ${NAME}; empty if a variable is not set.
std::string expanded(std::string_view text, const std::vector<std::string>& environment,
                     const std::string& home) {
  std::string out;
  if (text == "~" || text.starts_with("~/")) {
    out = home;
    text.remove_prefix(1);
  }
  while (!text.empty()) {
    if (text.front() != '$') {
      out += text.front();
      text.remove_prefix(1);
      continue;
    }
    text.remove_prefix(1);
    const bool braces = text.starts_with('{');
    if (braces) text.remove_prefix(1);
    std::size_t length = 0;
    while (length < text.size() && is_identifier_character(text[length])) ++length;
    const auto value = find_variable(environment, text.substr(0, length));
    if (!value) return "";
    out += *value;
    text.remove_prefix(length);
    if (braces && text.starts_with('}')) text.remove_prefix(1);
  }
  return out;
}

void add_path(std::vector<std::string>& paths, const std::string& text) {
  if (!text.starts_with('/')) return;
  const std::string path = normal_path(text);
  if (std::ranges::find(paths, path) == paths.end()) paths.push_back(path);
}

void add_all(CondaDirectories& to, const CondaDirectories& from) {
  for (const std::string& path : from.environments) add_path(to.environments, path);
  for (const std::string& path : from.packages) add_path(to.packages, path);
  to.problems.insert(to.problems.end(), from.problems.begin(), from.problems.end());
}

// "/x" stands for /x/.condarc, /x/condarc and /x/condarc.d/*.yml.
std::vector<std::string> files_below(const RootTree& host, const std::string& directory) {
  std::vector<std::string> files = {directory + "/.condarc", directory + "/condarc"};
  for (const std::string& name : host.list(directory + "/condarc.d")) {
    if (name.ends_with(".yml") || name.ends_with(".yaml"))
      files.push_back(directory + "/condarc.d/" + name);
  }
  return files;
}

std::vector<std::string> config_files(const RootTree& host, const CondaConfigRequest& request) {
  std::vector<std::string> directories = {"/etc/conda", "/var/lib/conda"};
  directories.insert(directories.end(), request.roots.begin(), request.roots.end());
  const std::string xdg = variable_or_empty(request.environment, "XDG_CONFIG_HOME");
  if (!xdg.empty()) directories.push_back(xdg + "/conda");
  if (!request.home.empty()) {
    directories.push_back(request.home + "/.config/conda");
    directories.push_back(request.home + "/.conda");
  }
  if (!request.prefix.empty()) directories.push_back(request.prefix);
  std::vector<std::string> files;
  for (const std::string& directory : directories) {
    if (!host.is_directory(directory)) continue;
    for (std::string& file : files_below(host, directory)) files.push_back(std::move(file));
  }
  if (!request.home.empty()) {
    files.push_back(request.home + "/.condarc");
    files.push_back(request.home + "/.mambarc");
  }
  for (const std::string_view name : {"CONDARC", "MAMBARC"}) {
    const std::string file = variable_or_empty(request.environment, name);
    if (file.starts_with('/')) files.push_back(file);
  }
  return files;
}

}  // namespace

CondaDirectories parse_condarc(std::string_view text, std::string_view name,
                               const std::vector<std::string>& environment,
                               const std::string& home) {
  CondaDirectories out;
  // Most files only list channels: they need no parser.
  const bool relevant = std::ranges::any_of(
      kListKeys, [&](const ListKey& row) { return text.find(row.key) != std::string_view::npos; });
  if (!relevant) return out;
  nlohmann::json root;
  try {
    root = yaml_to_json(text, name);
  } catch (const base::Error& error) {
    // Conda itself will complain when it runs; the container must start nevertheless.
    out.problems.emplace_back(error.what());
    return out;
  }
  if (!root.is_object()) return out;
  for (const ListKey& row : kListKeys) {
    const auto member = root.find(row.key);
    if (member == root.end()) continue;
    std::vector<std::string>& paths = row.packages ? out.packages : out.environments;
    for (const nlohmann::json& value : member->is_array() ? *member : nlohmann::json{*member}) {
      if (value.is_string()) add_path(paths, expanded(value.get<std::string>(), environment, home));
    }
  }
  return out;
}

CondaDirectories read_conda_directories(const RootTree& host, const CondaConfigRequest& request) {
  CondaDirectories out;
  for (const ListKey& row : kVariables) {
    std::vector<std::string>& paths = row.packages ? out.packages : out.environments;
    for (const std::string& text :
         base::split(variable_or_empty(request.environment, row.key), row.packages ? ',' : ':'))
      add_path(paths, expanded(text, request.environment, request.home));
  }
  for (const std::string& file : config_files(host, request)) {
    if (const std::optional<std::string> text = host.read(file))
      add_all(out, parse_condarc(*text, file, request.environment, request.home));
  }
  return out;
}

std::vector<std::string> read_known_environments(const RootTree& host, const std::string& home) {
  std::vector<std::string> prefixes;
  if (home.empty()) return prefixes;
  const std::optional<std::string> text = host.read(home + "/.conda/environments.txt");
  if (!text) return prefixes;
  for (const std::string& line : base::split(*text, '\n')) {
    if (prefixes.size() == kMaxKnownEnvironments) break;
    add_path(prefixes, line);
  }
  return prefixes;
}

std::string pyvenv_value(std::string_view text, std::string_view key) {
  for (const std::string& line : base::split(text, '\n')) {
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    const std::string_view whole(line);
    if (base::trimmed(whole.substr(0, equals)) == key)
      return std::string(base::trimmed(whole.substr(equals + 1)));
  }
  return "";
}

}  // namespace runtime
