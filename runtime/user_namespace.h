// SPDX-License-Identifier: Apache-2.0
// Entering the user namespace that makes all else possible, and giving up what it granted.
#pragma once

#include "runtime/identity.h"

namespace runtime {

enum class IdMap {
  own_id,   // the caller's user and group only; all others appear as nobody
  all_ids,  // all that the caller's own namespace knows, or those that /etc/subuid grants
};

// Unshares and maps ids as asked for: by default to themselves, all if the caller is root and may,
// else its own user and group (setgroups denied, as the kernel demands). The process must be
// single-threaded. Throws with a hint naming the setting that forbids it.
IdMap enter_user_namespace(const IdentityRequest& identity);

// The mount namespace, and those that the flags name besides (CLONE_NEWIPC...). Mounts of the host
// made later still arrive (a less privileged mount namespace is made a slave by the kernel), ours
// never leave.
void enter_mount_namespace(int more_flags);

// Brings up the loopback interface of a new network namespace.
void raise_loopback();

// Whether /etc/subuid and /etc/subgid grant the caller ids.
bool has_subordinate_ids();

// For the payload: no_new_privs, the user and group asked for where root's own namespace has them,
// and every capability set empty but for `kept`, which hold within its namespaces only.
void drop_privileges(IdMap ids, const IdentityRequest& identity, Capabilities kept);

}  // namespace runtime
