// SPDX-License-Identifier: Apache-2.0
#include "runtime/rocm.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "base/text.h"
#include "runtime/ld_cache.h"

namespace runtime {
namespace {

// The names that Apptainer and SingularityCE look for, both of them.
constexpr auto kLibraries = std::to_array<std::string_view>({
    "libamd_comgr.so",
    "libamdcomgr64.so",
    "libamdocl64.so",
    "libcltrace.so",
    "libcomgr.so",
    "libCXLActivityLogger.so",
    "libdrm.so",
    "libdrm_amdgpu.so",
    "libelf.so",
    "libhc_am.so",
    "libhipblas.so",
    "libhip_hcc.so",
    "libhiprand.so",
    "libhsakmt.so",
    "libhsa-runtime64.so",
    "libmcwamp.so",
    "libmcwamp_cpu.so",
    "libmcwamp_hsa.so",
    "libmiopengemm.so",
    "libMIOpen.so",
    "libnuma.so",
    "libOpenCL.so",
    "libpci.so",
    "librccl.so",
    "librocblas.so",
    "librocfft.so",
    "librocfft-device.so",
    "librocrand.so",
    "librocr_debug_agent64.so",
});
constexpr auto kPrograms = std::to_array<std::string_view>({"rocm-smi", "rocminfo"});
constexpr auto kProgramDirectories =
    std::to_array<std::string_view>({"/usr/bin", "/usr/local/bin", "/opt/rocm/bin"});
constexpr auto kPassing = std::to_array<std::string_view>(
    {"ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"});

bool is_listed(std::string_view name) {
  return std::ranges::any_of(kLibraries, [&](std::string_view row) {
    return name == row || (name.starts_with(row) && name[row.size()] == '.');
  });
}

void add_libraries(const RootTree& host, HostAdditions& out) {
  const LibraryAbi* const abi = native_abi();
  const std::optional<LdCache> cache = LdCache::find(host);
  if (abi == nullptr || !cache) return;
  for (const LdCacheEntry& entry : cache->entries()) {
    if (entry.flags != abi->cache_flags || !is_listed(entry.name)) continue;
    const bool known =
        std::ranges::find(out.libraries, entry.name, &HostLibrary::name) != out.libraries.end();
    const std::optional<std::string> file = host.resolve(entry.path);
    if (file && !known)
      out.libraries.push_back({std::string(entry.name), host.outside(*file), true});
  }
}

}  // namespace

HostAdditions rocm_additions(const RootTree& host, const std::vector<std::string>& environment) {
  HostAdditions out;
  add_libraries(host, out);
  for (const std::string_view name : kPrograms) add_program(host, kProgramDirectories, name, out);
  if (host.exists("/dev/kfd")) out.devices.push_back({host.outside("/dev/kfd"), "/dev/kfd"});
  for (const std::string& name : host.list("/dev/dri")) {
    if (!is_display_node(name)) continue;
    const std::string path = "/dev/dri/" + name;
    out.devices.push_back({host.outside(path), path});
  }
  pass_variables(environment, kPassing, out);
  if (!host.exists("/dev/kfd"))
    out.warnings.push_back("--rocm: this host has no AMD GPU driver (/dev/kfd)");
  out.notes.push_back(
      base::cat("ROCm: ", out.libraries.size(), " libraries, ", out.devices.size(), " devices"));
  return out;
}

}  // namespace runtime
