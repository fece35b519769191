// SPDX-License-Identifier: Apache-2.0
// Where conda, mamba and micromamba keep environments and packages: their configuration files
// (condarc, mambarc) and the list of environments that conda knows (~/.conda/environments.txt).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/root_tree.h"

namespace runtime {

struct CondaDirectories {
  std::vector<std::string> environments, packages;  // absolute; they need not exist
  std::vector<std::string> problems;                // of files that cannot be understood
};

struct CondaConfigRequest {
  std::vector<std::string> environment;  // the host's, as in environ(7)
  std::string home;
  std::vector<std::string> roots;  // of conda installations
  std::string prefix;              // of the active environment; may be empty
};

// From the variables (CONDA_ENVS_PATH, CONDA_PKGS_DIRS...) and every file that conda reads.
CondaDirectories read_conda_directories(const RootTree& host, const CondaConfigRequest& request);

// Lists of one file's text, with ~ and variables expanded; relative paths are left out.
CondaDirectories parse_condarc(std::string_view text, std::string_view name,
                               const std::vector<std::string>& environment,
                               const std::string& home);

// Prefixes that conda has noted down, whether they still exist or not.
std::vector<std::string> read_known_environments(const RootTree& host, const std::string& home);

// `key = value` of a virtual environment's pyvenv.cfg; empty if it is not there.
std::string pyvenv_value(std::string_view text, std::string_view key);

}  // namespace runtime
