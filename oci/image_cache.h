// SPDX-License-Identifier: Apache-2.0
// The per-user cache of images that were converted because a run or a pull named them by an
// address: $APPTAINER_CACHEDIR/cache (or SINGULARITY_CACHEDIR), else ~/.apptainer/cache, with one
// folder a kind as Apptainer has it. Ours are oci-tmp, oras and net: each file is a complete image,
// named by 64 hexadecimal digits; names that begin with a dot are locks and unfinished files.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace oci {

inline constexpr std::string_view kCachedImages = "oci-tmp";
inline constexpr std::string_view kCachedBlobs = "blob";
inline constexpr std::string_view kCachedOras = "oras";
inline constexpr std::string_view kCachedWeb = "net";
// The folders that Apptainer and this program keep, in the order in which Apptainer lists them.
inline constexpr std::array<std::string_view, 6> kCacheKinds = {
    kCachedBlobs, "library", kCachedImages, "shub", kCachedOras, kCachedWeb};

// The folder of all kinds; it need not exist. `find_variable` gives an environment variable or
// null; `home` is for an environment without HOME.
std::string cache_folder(const std::function<const char*(const char*)>& find_variable,
                         const std::string& home);

// Why no image can be put into the folder of all kinds; nullopt if one can. Makes what is missing.
std::optional<base::Error> find_cache_problem(const std::string& folder);

// The cached image whose source is `identity` (digests, or what else tells one image from all
// others), below `folder` and its part for `kind`; equal identities give equal paths. A file whose
// identity is its own digest is named by that: so Apptainer and this program share SIFs of oras://.
std::string cached_image_path(const std::string& folder, std::string_view kind,
                              std::string_view identity);

// The file at `path`, made by `make` unless it is there. Concurrent callers for one path wait for
// the first; should the file system have no locks, each makes it and the last one's stays, which
// does no harm, since files appear whole. `make` is given the path to write, and the name of the
// lock: it is removed afterwards, and by `make` should a signal end the program.
void make_once(const std::string& path,
               const std::function<void(const std::string& path, const std::string& lock)>& make);

struct CacheEntry {
  std::string name;
  std::uint64_t size;
  time_t modified;
};

// What `folder` (of one kind) holds, by name; nothing if it is not there. Without the names that
// begin with a dot.
std::vector<CacheEntry> cache_entries(const std::string& folder);

}  // namespace oci
