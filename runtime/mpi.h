// SPDX-License-Identifier: Apache-2.0
// What a program of an MPI launcher (mpirun, srun, flux run) needs from us: the folders of its
// server, the network's adapters, no paths of the host's MPI that lead nowhere, and settings that
// do without what separate user namespaces forbid. Descriptors of the launcher (PMI_FD) are simply
// inherited.
#pragma once

#include <string>
#include <vector>

#include "runtime/environment.h"
#include "runtime/host_additions.h"

namespace runtime {

// Folders that its variables name, at the same place inside. They may be anywhere: Slurm's are
// below its spool folder.
HostAdditions launcher_additions(const RootTree& host, const std::vector<std::string>& environment);

// The adapters of an RDMA network (InfiniBand, RoCE), for a /dev of our own: the nodes that
// programs open, not those of the network's management.
HostAdditions fabric_additions(const RootTree& host);

// In the container's root: variables with the place of the host's MPI, which would mislead the
// image's, do not pass if there is no such folder.
void withhold_lost_places(EnvironmentRequest& environment);

// For processes of one step that could not join one user namespace: reading each other's memory is
// denied between them, upon which older libraries hang or abort. What the user has set stays.
void avoid_single_copies(EnvironmentRequest& environment);

}  // namespace runtime
