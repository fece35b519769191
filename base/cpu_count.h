// SPDX-License-Identifier: Apache-2.0
// How many CPUs this process may really use: a job on a shared node has a part of them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace base {

// The affinity mask, limited by the CPU quota of every enclosing control group (version 1 or 2); at
// least 1.
unsigned allowed_cpu_count();

// Those of the affinity mask alone, which one system call tells; 0 when the kernel does not.
unsigned affinity_cpu_count();

// The smallest quota in CPUs, given the texts of /proc/self/cgroup and /proc/self/mountinfo;
// `read_file` gives nullopt for an absent file. nullopt: no quota.
using FindFile = std::function<std::optional<std::string>(const std::string& path)>;
std::optional<double> cgroup_cpu_quota(std::string_view cgroup_text, std::string_view mountinfo,
                                       const FindFile& find_file);

}  // namespace base
