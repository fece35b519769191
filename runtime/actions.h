// SPDX-License-Identifier: Apache-2.0
// Last step of sifrun: inside the container's root, with all privileges dropped and the working
// directory set, evaluate the image's environment scripts and become the payload.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/phase_times.h"
#include "runtime/environment.h"
#include "runtime/host_additions.h"

namespace runtime {

enum class Verb { exec, run, shell, test, start };

struct ActionRequest {
  Verb verb = Verb::exec;
  std::vector<std::string> arguments;  // everything after IMAGE on the command line
  EnvironmentRequest environment;
  std::string shell;  // --shell, or APPTAINER_SHELL / SINGULARITY_SHELL; empty: the image's
  // Limit of the environment scripts (--runscript-timeout), 0: none.
  std::chrono::seconds script_timeout{60};
  // Prefixes of host environments, the active one first: programs below them are checked against
  // the image's C library before they start.
  std::vector<std::string> host_environments;
  std::vector<HostNeed> host_needs;
  // True of paths that certainly do not exist in the container; empty: nothing is certain.
  std::function<bool(const std::string&)> is_absent;
  base::PhaseTimes times;  // printed when the program starts, if wanted
};

// In the image: throws where an app is to be started that has no script for it.
void require_start_script(const ActionRequest& request);

// Replaces the process. Throws base::Error if the payload cannot be started (the caller prints it
// as FATAL and exits 255); exits by itself with 0 or 1 where there is nothing to run, and with the
// status of an environment script that calls exit. Single-threaded callers only: it may fork.
[[noreturn]] void run_action(ActionRequest request);

}  // namespace runtime
