// SPDX-License-Identifier: Apache-2.0
// The per-user cache: what can be made again, in a folder that nobody else can write to.
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace runtime {

// $SIFRUN_CACHEDIR, else sifrun in $XDG_CACHE_HOME or .cache, from the caller's environment
// ("NAME=value"). The last in `home`, or in $HOME where that cannot be written to.
std::string user_cache_folder(const std::vector<std::string>& environment, const std::string& home);

// Where unpacked images go: sifrun in the folder of APPTAINER_CACHEDIR or else of
// APPTAINER_CONFIGDIR (or SINGULARITY_...), to which whoever has a small home has moved what is
// large; else the same.
std::string unpack_folder(const std::vector<std::string>& environment, const std::string& home);

// A private folder: see base/private_folder.
base::UniqueFd open_user_cache(const std::string& path);

}  // namespace runtime
