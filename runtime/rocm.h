// SPDX-License-Identifier: Apache-2.0
// AMD GPUs: the host's device nodes, tools and those ROCm libraries that an image lacks. Images
// bring the bulk of ROCm themselves, so that --rocm is mostly about /dev/kfd and /dev/dri.
#pragma once

#include <string>
#include <vector>

#include "runtime/host_additions.h"
#include "runtime/root_tree.h"

namespace runtime {

// `environment` is the host's, as in environ(7).
HostAdditions rocm_additions(const RootTree& host, const std::vector<std::string>& environment);

}  // namespace runtime
