// SPDX-License-Identifier: Apache-2.0
// Evaluates the environment scripts of the image with the embedded shell: the steps between the
// host's variables and the payload's environment. Runs inside the container's root.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/environment.h"

namespace runtime {

// The environment of the payload, sorted "NAME=value" entries. `command` is the verb's name.
// Throws base::Error; exits the process if a script calls exit.
std::vector<std::string> evaluate_environment(const EnvironmentRequest& request,
                                              std::string_view command,
                                              const std::vector<std::string>& arguments);

// Variables that the --env-file texts set. Commands, redirections and files are refused.
std::vector<EnvironmentVariable> evaluate_environment_files(
    const EnvironmentRequest& request, const std::vector<std::string>& arguments);

}  // namespace runtime
