// SPDX-License-Identifier: Apache-2.0
// From a plan to the running payload: the confinement, in order. The calling process becomes the
// payload, so it must be single-threaded.
#pragma once

#include "runtime/run_plan.h"

namespace runtime {

// Facts of the host that a plan needs; looks only.
HostFacts gather_host_facts(const char* pwd_variable);

// Throws base::Error; nothing is left behind then.
[[noreturn]] void launch(RunPlan plan);

}  // namespace runtime
