// SPDX-License-Identifier: Apache-2.0
// The last decisions of a plan, which need the mounted image: what comes from the host gives way to
// what the image has itself.
#pragma once

#include "runtime/rootfs.h"
#include "runtime/run_plan.h"

namespace runtime {

// `image` is a descriptor of the image's root. Resets the sources of binds that are not to happen
// and takes out of the plan's environment what depended on them; leaves out driver libraries that
// the image has; puts newer CUDA compatibility libraries of the image first.
void fit_to_image(RunPlan& plan, MountSources& sources, int image);

}  // namespace runtime
