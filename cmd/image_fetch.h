// SPDX-License-Identifier: Apache-2.0
// Images that are named by an address (docker://, docker-archive: and the like) instead of a path.
#pragma once

#include <optional>
#include <string>

#include "cmd/options.h"

namespace cmd {

// The path to run `image` from. What an address names is converted first: into the cache, or for
// this process alone where there is none. nullopt when that failed, which has been told; throws for
// an empty name.
std::optional<std::string> fetch_image(const ParsedOptions& parsed, const std::string& image,
                                       const std::string& home);

// The folder that images are kept in; nullopt where that is switched off, or cannot be, which is
// warned of.
std::optional<std::string> find_image_cache(const ParsedOptions& parsed, const std::string& home);

// The path in that folder of what an address names, converted if it is not there yet; nullopt when
// that failed, which has been told.
std::optional<std::string> fetch_into_cache(const ParsedOptions& parsed, const std::string& image,
                                            const std::string& cache);

}  // namespace cmd
