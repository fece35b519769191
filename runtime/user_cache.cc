// SPDX-License-Identifier: Apache-2.0
#include "runtime/user_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "base/syscalls.h"
#include "runtime/host_additions.h"

namespace runtime {

std::string user_cache_folder(const std::vector<std::string>& environment,
                              const std::string& home) {
  // Absolute ones only, as the XDG specification has it: a file server works elsewhere.
  const std::string own = variable_or_empty(environment, "SIFRUN_CACHEDIR");
  if (own.starts_with('/')) return own;
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

base::UniqueFd open_private_folder(const std::string& path) {
  std::error_code failure;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), failure);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    throw base::errno_error(failure ? failure.value() : errno, "cannot make the cache folder ",
                            base::printable(path))
        .with_hint("SIFRUN_CACHEDIR names another place");
  }
  base::UniqueFd fd = base::open_file(path, O_RDONLY | O_DIRECTORY);
  const struct stat status = base::file_status(fd.get(), path);
  if (status.st_uid != ::geteuid() || (status.st_mode & 022) != 0) {
    throw base::error("the cache folder ", base::printable(path),
                      " belongs to or is writable for other users")
        .with_hint("SIFRUN_CACHEDIR names another place");
  }
  return fd;
}

}  // namespace runtime
