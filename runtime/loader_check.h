// SPDX-License-Identifier: Apache-2.0
// Will the dynamic loader of an image start a program of the host? Told in one line before it is
// tried, instead of the loader's own words after.
#pragma once

#include <optional>
#include <string>

#include "runtime/root_tree.h"

namespace runtime {

// `root` is the container's tree, `program` an absolute path in it, `prefix` the environment that
// it belongs to. Looks at the program (or the interpreter of a script), its loader, and the
// libraries within the prefix. nullopt: nothing found that would stop it.
std::optional<std::string> find_loader_problem(const RootTree& root, const std::string& program,
                                               const std::string& prefix);

}  // namespace runtime
