// SPDX-License-Identifier: Apache-2.0
// From a plan to the running payload: the confinement, in order. The calling process becomes the
// payload, so it must be single-threaded.
#pragma once

#include <functional>
#include <span>

#include "runtime/run_plan.h"

namespace runtime {

// Facts of the host that a plan needs; looks only.
HostFacts gather_host_facts(const char* pwd_variable);

// Throws base::Error; nothing is left behind then.
[[noreturn]] void launch(RunPlan plan);

// The same for an instance, up to where the action would start. `enter_processes` forks; it is
// called where the PID namespace is made, and only the process that it returns in goes on.
// `ends`: see wait_for_ext_server().
ActionRequest prepare_instance(
    RunPlan plan, const std::function<void(std::span<const int> ends)>& enter_processes);

}  // namespace runtime
