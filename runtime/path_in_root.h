// SPDX-License-Identifier: Apache-2.0
// Paths of the container resolved against its root by descriptors, before the root is switched:
// symbolic links of a hostile image lead nowhere but into the image. openat2(2) where the kernel
// has it, else (and where missing parts matter) a walk component by component.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace runtime {

// How far a path exists.
struct PathInRoot {
  base::UniqueFd deepest;  // O_PATH of the last existing component
  std::string canonical;   // its path from the root, without symbolic links; "/" for the root
  // What comes after it, symbolic links of the existing part resolved; empty if all exists.
  std::vector<std::string> missing;
};

// Throws Error for loops (ELOOP), for a component below a non-directory (ENOTDIR) and for what may
// not be searched.
PathInRoot walk_in_root(int root, std::string_view path);

// O_PATH descriptor; nullopt if the path does not exist in the root.
std::optional<base::UniqueFd> find_in_root(int root, const std::string& path);

}  // namespace runtime
