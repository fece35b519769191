// SPDX-License-Identifier: Apache-2.0
// Which features of the host a run wants: the options, parsed but not yet judged.
#pragma once

#include <string>
#include <vector>

#include "runtime/conda.h"
#include "runtime/host_additions.h"
#include "runtime/nvidia.h"

namespace runtime {

struct HostFeatures {
  GpuMode nvidia = GpuMode::automatic;
  std::string nvidia_root;  // see NvidiaRequest::driver_root
  bool compat32 = false;
  bool rocm = false;
  std::vector<std::string> devices;          // CDI names
  std::vector<std::string> cdi_directories;  // empty: the usual ones
  CondaMode conda = CondaMode::automatic;
  std::string home;        // the caller's home directory on the host
  bool stands_in = false;  // called as singularity or apptainer
  bool contained = false;  // --contain or --cleanenv: no environment unless asked for
};

}  // namespace runtime
