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

}  // namespace cmd
