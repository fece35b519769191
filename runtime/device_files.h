// SPDX-License-Identifier: Apache-2.0
// The few device files of a contained run: the host's nodes by bind, the rest made anew.
#pragma once

#include <span>

#include "base/unique_fd.h"
#include "runtime/host_additions.h"
#include "runtime/session_directory.h"

namespace runtime {

// Builds the directory in the session and gives its O_PATH descriptor, ready to be attached at
// /dev with all below it. Nodes that the host lacks are left out. `devices` are those of
// accelerators and networks, for this run.
base::UniqueFd make_device_directory(SessionDirectory& session,
                                     std::span<const HostDevice> devices);

}  // namespace runtime
