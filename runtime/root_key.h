// SPDX-License-Identifier: Apache-2.0
// Which starts may share one root, as it is after all mounts: those whose keys are the same text. A
// key says what is mounted where and, of the host's files and directories, which ones they are now.
#pragma once

#include <optional>
#include <string>

#include "runtime/run_plan.h"

namespace runtime {

// nullopt for a root that is made for one run alone: with directories of its own, other namespaces,
// or parts that depend on what the image has. It does not say who runs in it with which rights, nor
// which further images it has: may_share() of runtime/launch.cc comes first.
std::optional<std::string> find_root_key(const RunPlan& plan);

}  // namespace runtime
