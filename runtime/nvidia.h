// SPDX-License-Identifier: Apache-2.0
// The host's NVIDIA driver as additions to a container: only files of the driver (those that end in
// its version, and a few others), found through ld.so.cache and a list of directories without
// running a program. Whether and which GPUs: the options and NVIDIA's own variables.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/host_additions.h"
#include "runtime/root_tree.h"

namespace runtime {

enum class GpuMode { automatic, required, forbidden };

struct NvidiaRequest {
  GpuMode mode = GpuMode::automatic;
  bool compat32 = false;
  std::vector<std::string> environment;  // the host's, as in environ(7)
  // Top of an unpacked driver that takes the place of the host's own ("" for none); devices and
  // /proc are the host's.
  std::string driver_root;
  std::string kernel_release;  // of uname(2)
};

// Cheap where there is no GPU: automatic mode looks at one path of /dev then.
HostAdditions nvidia_additions(const RootTree& host, const NvidiaRequest& request);

// The image's own newer libcuda (/usr/local/cuda/compat): its directory goes first in the search
// path. nullopt if there is none or it is not newer than the host's driver.
std::optional<std::string> find_forward_compatibility(const RootTree& image,
                                                      std::string_view driver_version);

}  // namespace runtime
