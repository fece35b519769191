// SPDX-License-Identifier: Apache-2.0
// Devices by name, "vendor.com/class=name", from the host's CDI files: the edits that an
// unprivileged runtime can make, as additions to a container. Hooks are never run; those of
// NVIDIA's toolkit that make links, fill the loader's cache or choose compatibility libraries are
// imitated, the others named in the notes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/host_additions.h"
#include "runtime/root_tree.h"

namespace runtime {

// Where CDI files are, the least important directory first.
std::vector<std::string> default_cdi_directories();

bool is_cdi_device(std::string_view text);

// Throws Error for a device that no valid file has, that two files of equal rank have, or whose
// nodes and mounts the host lacks; the message names the invalid files, too.
HostAdditions cdi_additions(const RootTree& host, const std::vector<std::string>& devices,
                            const std::vector<std::string>& directories);

}  // namespace runtime
