// SPDX-License-Identifier: Apache-2.0
// Which variables of the host reach the container, and which values the user forces into it. Pure:
// looks at nothing but its arguments, so the rules are testable as tables. runtime/env_scripts
// evaluates the image's scripts between the two sets.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace runtime {

struct EnvironmentVariable {
  std::string name;
  std::string value;
  bool operator==(const EnvironmentVariable&) const = default;
};

// A file given by --env-file: read on the host before the root is switched, evaluated as shell
// text. `name` appears in messages.
struct EnvironmentFile {
  std::string name;
  std::string text;
};

// What the user and the launcher ask for. Everything is optional but container_home.
struct EnvironmentRequest {
  std::vector<std::string> host;                 // "NAME=value", as in environ(7)
  std::vector<EnvironmentVariable> assignments;  // --env, in the order given
  std::vector<EnvironmentFile> files;            // --env-file, in the order given
  // The image's environment scripts in the order to be run; nullopt: to be looked for.
  std::optional<std::vector<EnvironmentFile>> scripts;
  std::vector<std::string> withheld;           // --no-env: names that are not forwarded
  bool clean = false;                          // --cleanenv
  bool no_eval = false;                        // --no-eval: injected values are literal
  std::string container_home;                  // the only source of HOME
  std::string image_path;                      // absolute: APPTAINER_CONTAINER
  std::string image_name;                      // file name: APPTAINER_NAME
  std::string instance_name;                   // APPTAINER_INSTANCE
  std::string app_name;                        // --app
  std::vector<std::string> bind_destinations;  // APPTAINER_BIND, joined with commas
  std::string title = "Apptainer";             // of the prompt: "Apptainer> "
  // Search path entries of a host conda environment: before or behind the image's own PATH. A
  // PATH that the user sets explicitly wins over both.
  std::vector<std::string> path_front;
  std::vector<std::string> path_back;
  // The same for LD_LIBRARY_PATH: directories of compatibility libraries, and of driver libraries
  // of the host.
  std::vector<std::string> library_front;
  std::vector<std::string> library_back;
  // Set by the launcher like a host variable that --cleanenv does not withhold (CONDA_PREFIX...).
  std::vector<EnvironmentVariable> additional;
};

// Values forced upon the container after the image's own scripts ran.
struct InjectedEnvironment {
  std::vector<EnvironmentVariable> variables;  // in the order to be evaluated, each name once
  std::string prepend_path, append_path, path;
  std::string prepend_ld_library_path, append_ld_library_path;
};

inline constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// Host variables that pass, lowest in precedence: a variable which the image sets is not replaced.
std::vector<EnvironmentVariable> forwarded_host_variables(const EnvironmentRequest& request);
// Entries of the host that pass although no script can see them, since their names are no shell
// names: functions that bash exports (BASH_FUNC_module%%=...) and the like.
std::vector<std::string> forwarded_host_entries(const EnvironmentRequest& request);

// SINGULARITYENV_X < APPTAINERENV_X < evaluated --env-file variables < --env. Warns about names
// that may not be overridden (HOME).
InjectedEnvironment injected_environment(const EnvironmentRequest& request,
                                         const std::vector<EnvironmentVariable>& from_files);

// APPTAINER_CONTAINER and its kin, each under both prefixes.
std::vector<EnvironmentVariable> container_variables(const EnvironmentRequest& request,
                                                     std::string_view command);

// Appends the entries of the default PATH which `path` lacks.
std::string with_default_path(std::string_view path);

}  // namespace runtime
