// SPDX-License-Identifier: Apache-2.0
#include "runtime/mpi.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/log.h"
#include "base/text.h"

namespace runtime {
namespace {

constexpr auto kFolderVariables = std::to_array<std::string_view>({
    "PMIX_SERVER_TMPDIR",
    "PMIX_DSTORE_ESH_BASE_PATH",
    "PMIX_DSTORE_21_BASE_PATH",
    "OMPI_MCA_orte_jobfam_session_dir",
});

constexpr std::string_view kFabric = "/dev/infiniband";
// uverbs0, uverbs1...; umad and issm nodes are for a subnet manager.
constexpr auto kFabricNodes = std::to_array<std::string_view>({"uverbs", "rdma_cm"});

// One place, or several with colons between.
constexpr auto kPlaceVariables = std::to_array<std::string_view>({
    "OPAL_PREFIX",
    "OPAL_LIBDIR",
    "PMIX_PREFIX",
    "PMIX_INSTALL_PREFIX",
    "PRTE_PREFIX",
    "OMPI_LIBDIR_LOC",
    "OMPI_MCA_mca_base_component_path",
    "PMIX_MCA_mca_base_component_path",
    "PRTE_MCA_mca_base_component_path",
});

struct Setting {
  const char *name, *value;
};
constexpr auto kWithoutSingleCopies = std::to_array<Setting>({
    {"OMPI_MCA_btl_vader_single_copy_mechanism", "none"},
    {"UCX_TLS", "^posix,cma"},
});

bool is_folder(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace

HostAdditions launcher_additions(const RootTree& host,
                                 const std::vector<std::string>& environment) {
  HostAdditions additions;
  for (const std::string_view name : kFolderVariables) {
    const std::string folder = variable_or_empty(environment, name);
    const bool shown = std::ranges::any_of(
        additions.binds, [&](const HostBind& bind) { return is_within(folder, bind.destination); });
    if (!folder.starts_with('/') || shown || !host.is_directory(folder)) continue;
    additions.binds.push_back({.source = folder, .destination = folder, .read_only = false});
  }
  return additions;
}

HostAdditions fabric_additions(const RootTree& host) {
  HostAdditions additions;
  for (const std::string& name : host.list(kFabric)) {
    const bool wanted = std::ranges::any_of(
        kFabricNodes, [&](std::string_view prefix) { return name.starts_with(prefix); });
    const std::string path = base::cat(kFabric, "/", name);
    if (wanted) additions.devices.push_back({host.outside(path), path});
  }
  return additions;
}

void withhold_lost_places(EnvironmentRequest& environment) {
  for (const std::string_view name : kPlaceVariables) {
    const std::optional<std::string_view> value = find_variable(environment.host, name);
    if (!value || std::ranges::any_of(base::split(*value, ':'), is_folder)) continue;
    environment.withheld.emplace_back(name);
    base::log_verbose(name, " is not passed: the container has no such place");
  }
}

void avoid_single_copies(EnvironmentRequest& environment) {
  for (const Setting& setting : kWithoutSingleCopies) {
    if (find_variable(environment.host, setting.name)) continue;
    environment.additional.push_back({setting.name, setting.value});
    base::log_verbose("the processes of this step share no user namespace: ", setting.name, "=",
                      setting.value);
  }
}

}  // namespace runtime
