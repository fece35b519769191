// SPDX-License-Identifier: Apache-2.0
// The per-user cache of images that were converted because a run or a pull named them by an
// address: $APPTAINER_CACHEDIR/cache (or SINGULARITY_CACHEDIR), else ~/.apptainer/cache, with one
// folder a kind as Apptainer has it. Ours is oci-tmp: each file is a complete SIF, named by 64
// hexadecimal digits; names that begin with a dot are locks and unfinished files.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace oci {

inline constexpr std::string_view kCachedImages = "oci-tmp";

// The folder of all kinds; it need not exist. `find_variable` gives an environment variable or
// null; `home` is for an environment without HOME.
std::string cache_folder(const std::function<const char*(const char*)>& find_variable,
                         const std::string& home);

// The cached image whose source is `identity` (digests, or what else tells one image from all
// others), below `folder`; equal identities give equal paths.
std::string cached_image_path(const std::string& folder, std::string_view identity);

// The file at `path`, made by `make` unless it is there. Concurrent callers for one path wait for
// the first; should the file system have no locks, each makes it and the last one's stays, which
// does no harm, since files appear whole. `make` is given the path to write.
void make_once(const std::string& path, const std::function<void(const std::string& path)>& make);

}  // namespace oci
