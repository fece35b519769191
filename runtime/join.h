// SPDX-License-Identifier: Apache-2.0
// Entering namespaces that another process made, by their descriptors (setns(2)), and handing out
// one's own. Single-threaded callers only: the kernel demands it.
#pragma once

#include <string>

#include "base/unique_fd.h"
#include "runtime/mount_api.h"

namespace runtime {

// A namespace of the calling process: "user", "mnt", "pid"...
base::UniqueFd open_own_namespace(const char* name);

// Grants all capabilities there, as its maker had them: it must be a child of the caller's own,
// made by a process with the caller's user id.
void join_user_namespace(int user_namespace);

// A mount namespace with nothing in it but what is mounted at `mount_point` of this one: it holds
// no mount of the host. Afterwards the caller's root and working directory are "/".
base::UniqueFd make_mount_namespace_of(const std::string& mount_point);

// What is mounted at the root of another mount namespace, as a detached tree. Afterwards the
// caller's root and working directory are "/".
MountSource copy_root_of(int mount_namespace);

}  // namespace runtime
