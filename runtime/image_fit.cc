// SPDX-License-Identifier: Apache-2.0
#include "runtime/image_fit.h"

#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/log.h"
#include "base/text.h"
#include "runtime/ld_cache.h"
#include "runtime/nvidia.h"
#include "runtime/root_tree.h"

namespace runtime {
namespace {

// What is empty may be a mount point, of the file server's making.
bool has_content(const RootTree& image, const std::string& path) {
  const std::optional<struct stat> status = image.status(path);
  if (!status) return false;
  if (S_ISDIR(status->st_mode)) return !image.list(path).empty();
  return !S_ISREG(status->st_mode) || status->st_size > 0;
}

void forget(RunPlan& plan, const std::string& lost) {
  const auto within = [&](const std::string& path) { return is_within(path, lost); };
  EnvironmentRequest& environment = plan.action.environment;
  std::erase_if(environment.path_front, within);
  std::erase_if(environment.path_back, within);
  std::erase_if(plan.action.host_environments, within);
  if (!std::ranges::any_of(plan.host.anchors, within)) return;
  // All of them or none: half of conda's variables mislead its scripts.
  for (const std::string& name : plan.host.dependent_variables)
    environment.withheld.push_back(name);
  std::erase_if(environment.additional, [&](const EnvironmentVariable& variable) {
    return std::ranges::find(plan.host.dependent_variables, variable.name) !=
           plan.host.dependent_variables.end();
  });
}

void leave_out_known(const RootTree& image, std::vector<HostLibrary>& libraries) {
  if (std::ranges::none_of(libraries, &HostLibrary::gives_way)) return;
  const std::optional<LdCache> cache = LdCache::find(image);
  if (!cache) return;
  for (HostLibrary& library : libraries) {
    const bool known = std::ranges::find(cache->entries(), library.name, &LdCacheEntry::name) !=
                       cache->entries().end();
    library.left_out = library.gives_way && known;
  }
}

}  // namespace

void fit_to_image(RunPlan& plan, MountSources& sources, int image_fd) {
  const RootTree image(descriptor_path(image_fd));
  NeedsCheck needs([&](const std::string& path) { return image.exists(path); });
  for (std::size_t i = 0; i < plan.mounts.size(); ++i) {
    const MountEntry& entry = plan.mounts[i];
    if (!sources[i] || is_covered(plan.mounts, i)) continue;
    if (!needs.are_met(entry)) {
      sources[i].reset();
    } else if (entry.gives_way && has_content(image, entry.target)) {
      sources[i].reset();
      if (entry.needs.empty()) {
        base::log_warning("the host's ", base::printable(entry.target),
                          " is not shown: the image has its own (--bind ",
                          base::printable(entry.target), " to cover it)");
      }
      forget(plan, entry.target);
    }
  }
  leave_out_known(image, plan.host.libraries);
  const auto compatibility = find_forward_compatibility(image, plan.host.nvidia_version);
  if (compatibility) {
    base::log_verbose("CUDA compatibility libraries of the image are newer than the driver ",
                      plan.host.nvidia_version, ": using ", *compatibility);
    plan.action.environment.library_front.push_back(*compatibility);
  }
}

}  // namespace runtime
