// SPDX-License-Identifier: Apache-2.0
#include "oci/image_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>

#include "base/private_folder.h"
#include "base/syscalls.h"
#include "oci/digest.h"

namespace oci {
namespace {

// To be counted up when the same image is converted to other files than before.
constexpr std::string_view kConversion = "sifconv 2 ";
constexpr std::string_view kElsewhere = "APPTAINER_CACHEDIR names another place";

class RemovedName {
 public:
  explicit RemovedName(const std::string& path) : path_(path) {}
  ~RemovedName() { ::unlink(path_.c_str()); }
  RemovedName(const RemovedName&) = delete;
  RemovedName& operator=(const RemovedName&) = delete;

 private:
  const std::string& path_;
};

// An image that someone else may change is no image to run; above it, the folder could be
// exchanged.
void make_private_folders(const std::string& folder) {
  base::open_private_folder(folder.substr(0, folder.rfind('/')), kElsewhere);
  base::open_private_folder(folder, kElsewhere);
}

}  // namespace

std::string cache_folder(const std::function<const char*(const char*)>& find_variable,
                         const std::string& home) {
  for (const char* name : {"APPTAINER_CACHEDIR", "SINGULARITY_CACHEDIR", "APPTAINER_CONFIGDIR",
                           "SINGULARITY_CONFIGDIR"}) {
    const char* parent = find_variable(name);
    if (parent != nullptr && *parent != '\0') return std::string(parent) + "/cache";
  }
  const char* own = find_variable("HOME");
  return (own != nullptr && *own != '\0' ? std::string(own) : home) + "/.apptainer/cache";
}

std::optional<base::Error> find_cache_problem(const std::string& folder) {
  for (const std::string_view kind : {kCachedImages, kCachedOras, kCachedWeb}) {
    const std::string images = base::cat(folder, "/", kind);
    try {
      make_private_folders(images);
    } catch (const base::Error& problem) {
      return problem;
    }
    if (::access(images.c_str(), W_OK | X_OK) == 0) continue;
    return base::errno_error(errno, "cannot write into the cache folder ", base::printable(images))
        .with_hint(std::string(kElsewhere));
  }
  return std::nullopt;
}

std::string cached_image_path(const std::string& folder, std::string_view kind,
                              std::string_view identity) {
  if (is_sha256_digest(identity)) return base::cat(folder, "/", kind, "/", identity);
  const std::string digest = sha256_digest(std::string(kConversion).append(identity));
  return base::cat(folder, "/", kind, "/", digest.substr(7));
}

void make_once(const std::string& path,
               const std::function<void(const std::string& path, const std::string& lock)>& make) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = path.substr(0, slash);
  make_private_folders(folder);
  if (base::find_status(path)) return;
  const std::string lock_path = folder + "/." + path.substr(slash + 1) + ".lock";
  const base::UniqueFd lock = base::open_file(lock_path, O_RDWR | O_CREAT, 0600);
  ::flock(lock.get(), LOCK_EX);  // without locks: see the header
  const RemovedName removed_while_held(lock_path);
  if (!base::find_status(path)) make(path, lock_path);
}

std::vector<CacheEntry> cache_entries(const std::string& folder) {
  std::vector<CacheEntry> entries;
  if (!base::find_status(folder)) return entries;
  const base::UniqueFd fd = base::open_file(folder, O_RDONLY | O_DIRECTORY);
  const auto names = base::list_names(fd.get(), base::printable(folder));
  for (const std::string& name : *names) {
    const auto status = base::find_status(base::cat(folder, "/", name), false);
    if (name.starts_with('.') || !status) continue;
    entries.push_back({name, static_cast<std::uint64_t>(status->st_size), status->st_mtime});
  }
  std::ranges::sort(entries, {}, &CacheEntry::name);
  return entries;
}

}  // namespace oci
