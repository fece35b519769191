// SPDX-License-Identifier: Apache-2.0
// Paths of the container resolved against its root by descriptors, before the root is switched:
// symbolic links of a hostile image lead nowhere but into the image. openat2(2) where the kernel
// has it, else (and where missing parts matter) a walk component by component.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/path_walk.h"
#include "base/unique_fd.h"

namespace runtime {

using PathInRoot = base::WalkedPath<base::UniqueFd>;  // O_PATH

// Throws Error for loops (ELOOP), for a component below a non-directory (ENOTDIR) and for what may
// not be searched.
PathInRoot walk_in_root(int root, std::string_view path);

// O_PATH descriptor; nullopt if the path does not exist in the root. The second takes a symbolic
// link at its end for what it is.
std::optional<base::UniqueFd> find_in_root(int root, const std::string& path);
std::optional<base::UniqueFd> find_link_in_root(int root, const std::string& path);

}  // namespace runtime
