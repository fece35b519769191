// SPDX-License-Identifier: Apache-2.0
// The features of the host (GPU drivers, CDI devices, conda environments) as part of a run plan.
#pragma once

#include "runtime/host_features.h"
#include "runtime/run_plan.h"

namespace runtime {

// Looks at the host for what is wanted, and adds its mounts, variables and search paths to the
// plan. Runs no program. Throws Error for a CDI device that cannot be given.
void add_host_features(const HostFeatures& features, RunPlan& plan);

}  // namespace runtime
