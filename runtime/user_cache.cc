// SPDX-License-Identifier: Apache-2.0
#include "runtime/user_cache.h"

#include <unistd.h>

#include <filesystem>

#include "base/private_folder.h"
#include "runtime/host_additions.h"

namespace runtime {

std::string user_cache_folder(const std::vector<std::string>& environment,
                              const std::string& home) {
  // Absolute: a file server works elsewhere.
  const std::string own = variable_or_empty(environment, "SIFRUN_CACHEDIR");
  if (!own.empty()) return std::filesystem::absolute(own);
  // The XDG specification wants others ignored.
  const std::string cache = variable_or_empty(environment, "XDG_CACHE_HOME");
  if (cache.starts_with('/')) return cache + "/sifrun";
  // $HOME of a job is often a folder of the job alone, whose content is its result.
  const std::string other = variable_or_empty(environment, "HOME");
  const bool is_usable = other.empty() || ::access(home.c_str(), W_OK) == 0;
  return (is_usable ? home : other) + "/.cache/sifrun";
}

std::string unpack_folder(const std::vector<std::string>& environment, const std::string& home) {
  for (const char* name : {"APPTAINER_CACHEDIR", "SINGULARITY_CACHEDIR", "APPTAINER_CONFIGDIR",
                           "SINGULARITY_CONFIGDIR"}) {
    const std::string folder = variable_or_empty(environment, name);
    if (folder.starts_with('/')) return folder + "/sifrun";
  }
  return user_cache_folder(environment, home);
}

base::UniqueFd open_user_cache(const std::string& path) {
  return base::open_private_folder(path, "SIFRUN_CACHEDIR names another place");
}

}  // namespace runtime
