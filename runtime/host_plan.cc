// SPDX-License-Identifier: Apache-2.0
#include "runtime/host_plan.h"

#include <sys/utsname.h>

#include <algorithm>

#include "base/text.h"
#include "runtime/cdi.h"
#include "runtime/host_libraries.h"
#include "runtime/mpi.h"
#include "runtime/rocm.h"
#include "runtime/share_key.h"

namespace runtime {
namespace {

constexpr MountFlags kPlain = MountFlags::no_setuid | MountFlags::no_devices;

// The caller's variables, those for the container taken for its own: a scheduler that starts jobs
// with --cleanenv hands the choice of GPUs over as SINGULARITYENV_CUDA_VISIBLE_DEVICES.
std::vector<std::string> effective_environment(const EnvironmentRequest& request) {
  std::vector<std::string> out = request.host;
  for (const std::string_view prefix : {"SINGULARITYENV_", "APPTAINERENV_"}) {
    for (const std::string& entry : request.host)
      if (entry.starts_with(prefix)) out.push_back(entry.substr(prefix.size()));
  }
  for (const EnvironmentVariable& variable : request.assignments)
    out.push_back(variable.name + "=" + variable.value);
  return out;
}

std::vector<std::string> visible_directories(const RunPlan& plan) {
  std::vector<std::string> out;
  for (const MountEntry& entry : plan.mounts) {
    if (entry.kind == MountKind::bind && entry.source == entry.target) out.push_back(entry.target);
  }
  return out;
}

MountEntry bind_entry(const HostBind& bind) {
  MountEntry entry{MountStage::files, MountKind::bind, bind.source,
                   bind.destination,  kPlain,          Importance::expected};
  if (bind.source.empty()) entry.kind = MountKind::directory;
  if (bind.read_only) entry.flags = entry.flags | MountFlags::read_only;
  entry.gives_way = bind.gives_way;
  entry.needs = bind.needs;
  return entry;
}

void add_binds(const std::vector<HostBind>& binds, std::vector<MountEntry>& mounts,
               const std::vector<std::string>& visible) {
  std::vector<MountEntry> entries;
  for (const HostBind& bind : binds) {
    const bool shown = bind.source == bind.destination &&
                       std::ranges::any_of(visible, [&](const std::string& directory) {
                         return is_within(bind.destination, directory);
                       });
    if (!shown) entries.push_back(bind_entry(bind));
  }
  std::ranges::stable_sort(
      entries, {}, [](const MountEntry& entry) { return std::ranges::count(entry.target, '/'); });
  mounts.insert(mounts.end(), entries.begin(), entries.end());
}

void add_libraries(const std::vector<HostLibrary>& libraries, std::string_view target,
                   RunPlan& plan, std::vector<MountEntry>& mounts) {
  if (libraries.empty()) return;
  mounts.push_back({MountStage::files, MountKind::host_libraries, "", std::string(target),
                    kPlain | MountFlags::read_only, Importance::expected});
  const std::vector<std::string> directories = library_directories(libraries);
  for (std::size_t i = 0; i < directories.size(); ++i) {
    mounts.push_back({MountStage::files, MountKind::bind, directories[i],
                      base::cat(target, "/", library_mount_name(i)), kPlain | MountFlags::read_only,
                      Importance::expected});
  }
  plan.action.environment.library_back.emplace_back(target);
}

// The host's /dev shows its nodes under their own names, one of our own is made with all of them.
// Others are bound.
void add_device_binds(const RunPlan& plan, std::vector<MountEntry>& mounts) {
  const bool own_dev = std::ranges::find(plan.mounts, MountKind::device_files, &MountEntry::kind) !=
                       plan.mounts.end();
  for (const HostDevice& device : plan.host.devices) {
    if (is_within(device.path, "/dev") && (own_dev || device.source == device.path)) continue;
    mounts.push_back({MountStage::files, MountKind::bind, device.source, device.path,
                      MountFlags::no_setuid, Importance::expected});
  }
}

void add_mounts(RunPlan& plan, const std::vector<std::string>& visible) {
  std::vector<MountEntry> mounts;
  add_libraries(plan.host.libraries, kLibraryDirectory, plan, mounts);
  add_libraries(plan.host.libraries32, kLibrary32Directory, plan, mounts);
  add_binds(plan.host.binds, mounts, visible);
  add_device_binds(plan, mounts);
  // After the defaults, so that the user's own binds still cover everything.
  const auto place =
      std::ranges::upper_bound(plan.mounts, MountStage::files, {}, &MountEntry::stage);
  plan.mounts.insert(place, mounts.begin(), mounts.end());
}

void append(std::vector<std::string>& to, const std::vector<std::string>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

void add_environment(RunPlan& plan) {
  EnvironmentRequest& environment = plan.action.environment;
  for (const EnvironmentVariable& variable : plan.host.variables)
    environment.additional.push_back(variable);
  // Before --env, which the user says last.
  environment.assignments.insert(environment.assignments.begin(), plan.host.overrides.begin(),
                                 plan.host.overrides.end());
  append(environment.path_front, plan.host.path_front);
  append(environment.path_back, plan.host.path_back);
  append(environment.library_back, plan.host.library_back);
  append(plan.action.host_environments, plan.host.environments);
  plan.action.host_needs = plan.host.needs;
}

HostAdditions find_conda(const HostFeatures& features, const RootTree& host, const RunPlan& plan,
                         const std::vector<std::string>& visible) {
  CondaMode mode = features.conda;
  if (mode == CondaMode::automatic && features.contained) mode = CondaMode::off;
  HostAdditions out = conda_additions(
      host, {mode, features.stands_in, plan.action.environment.host, features.home, visible});
  if (!plan.action.environment.clean) return out;
  // Asked for in spite of --cleanenv: the variables belong to it.
  for (const std::string& name : out.dependent_variables)
    out.variables.push_back({name, variable_or_empty(plan.action.environment.host, name)});
  return out;
}

}  // namespace

void add_host_features(const HostFeatures& features, RunPlan& plan) {
  const RootTree host;
  const std::vector<std::string> environment = effective_environment(plan.action.environment);
  const std::vector<std::string> visible = visible_directories(plan);
  HostAdditions& all = plan.host;
  all = cdi_additions(
      host, features.devices,
      features.cdi_directories.empty() ? default_cdi_directories() : features.cdi_directories);
  // Two descriptions of the same GPUs would add up to more than the one asked for.
  const bool described = std::ranges::any_of(features.devices, [](const std::string& device) {
    return device.starts_with("nvidia.com/");
  });
  if (!described || features.nvidia == GpuMode::required) {
    struct utsname names {};
    ::uname(&names);
    all.append(nvidia_additions(host, {features.nvidia, features.compat32, environment,
                                       features.nvidia_root, names.release}));
  }
  if (features.rocm) all.append(rocm_additions(host, environment));
  // Who has GPUs or is one of several may talk to other machines.
  if (!all.devices.empty() || is_parallel_step(environment)) all.append(fabric_additions(host));
  all.append(find_conda(features, host, plan, visible));
  all.append(launcher_additions(host, plan.action.environment.host));
  append(plan.warnings, all.warnings);
  add_mounts(plan, visible);
  add_environment(plan);
}

}  // namespace runtime
