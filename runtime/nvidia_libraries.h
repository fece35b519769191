// SPDX-License-Identifier: Apache-2.0
// The libraries of an NVIDIA driver in a tree: every file that ends in the driver's version, and
// the few with a version of their own, by ld.so.cache or in given directories.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/host_additions.h"
#include "runtime/ld_cache.h"
#include "runtime/root_tree.h"

namespace runtime {

struct NvidiaDriver {
  std::string version;  // "550.163.01"; empty if it cannot be told (WSL, Tegra)
  std::vector<HostLibrary> libraries, libraries32;
  std::string top;  // where its other files are looked for: "/", or a tree below it
};

// The version of the loaded kernel module.
std::optional<std::string> loaded_nvidia_version(const RootTree& host);

// The files of the driver in `tree`. With `version` only those that fit the kernel module.
std::optional<NvidiaDriver> find_nvidia_driver(const RootTree& tree, const std::string& version,
                                               bool compat32,
                                               const std::vector<std::string>& directories);

// "550.163.01" of "libcuda.so.550.163.01"; empty for other endings.
std::string_view driver_version_suffix(std::string_view file_name);
// "libcuda" of "libcuda.so.1".
std::string_view library_stem(std::string_view file_name);

}  // namespace runtime
