// SPDX-License-Identifier: Apache-2.0
// Which of the host's GPUs a run may use, and their device nodes for a /dev of our own. Known from
// /proc/driver/nvidia and /dev alone; no driver library is called.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/nvidia_files.h"
#include "runtime/root_tree.h"

namespace runtime {

struct NvidiaGpu {
  unsigned minor = 0;  // /dev/nvidia<minor>
  std::string bus;     // "0000:65:00.0"; empty if unknown
  std::string uuid;    // "GPU-..."; empty if unknown
  bool operator==(const NvidiaGpu&) const = default;
};

// In nvidia-smi's order, which is that of the bus: an index is a position in this list.
std::vector<NvidiaGpu> list_nvidia_gpus(const RootTree& host);

// A part of a GPU (MIG). The instance numbers are the driver's.
struct MigDevice {
  std::size_t gpu = 0;  // index
  unsigned gpu_instance = 0, compute_instance = 0;
};

// What NVIDIA_VISIBLE_DEVICES says; unset is "all".
struct VisibleDevices {
  bool inject = true;  // false for "void": the run gets nothing of the driver
  bool all = false;
  bool all_mig = false;           // a MIG UUID: only the driver could tell which part it is
  std::vector<std::size_t> gpus;  // indices into the list
  std::vector<MigDevice> mig;
  std::vector<std::string> unknown;
};
VisibleDevices select_nvidia_devices(const RootTree& host, const std::vector<NvidiaGpu>& gpus,
                                     std::optional<std::string_view> visible_devices);

// Host paths of the nodes, each of which exists.
std::vector<std::string> nvidia_device_nodes(const RootTree& host,
                                             const std::vector<NvidiaGpu>& gpus,
                                             const VisibleDevices& selection,
                                             DriverCapability capabilities);

}  // namespace runtime
