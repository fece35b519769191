// SPDX-License-Identifier: Apache-2.0
// From a refused system call and the state of the host to the setting that cures it. The table is
// pure, so its words are tested; only read_host_state looks at the host.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace runtime {

enum class HostOperation {
  make_user_namespace,  // unshare(CLONE_NEWUSER)
  map_user,             // writing uid_map and gid_map
  mount,                // the first mount in the new namespaces
};

struct HostState {
  std::optional<long> max_user_namespaces{};   // user.max_user_namespaces
  std::optional<long> unprivileged_clone{};    // kernel.unprivileged_userns_clone (Debian)
  std::optional<long> apparmor_restriction{};  // kernel.apparmor_restrict_unprivileged_userns
  bool seccomp_filter = false;                 // this process runs under one
  bool inside_container = false;
  bool root = false;  // the caller is user 0
};
HostState read_host_state();

// Text for Error::with_hint; empty if the cause is unknown.
std::string_view host_hint(HostOperation operation, int errno_value, const HostState& state);

struct FuseProblem {
  std::string cause;
  std::string_view cure;
};
// nullopt if /dev/fuse can be used.
std::optional<FuseProblem> find_fuse_problem(const char* device = "/dev/fuse");
std::string_view fuse_cure(int errno_value, bool inside_container);

}  // namespace runtime
