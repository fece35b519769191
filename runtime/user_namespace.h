// SPDX-License-Identifier: Apache-2.0
// Entering the user namespace that makes all else possible, and giving up what it granted.
#pragma once

namespace runtime {

enum class IdMap {
  own_id,   // the caller's user and group only; all others appear as nobody
  all_ids,  // all that the caller's own namespace knows
};

// Unshares and maps ids to themselves: all if the caller is root and may, else its own user and
// group (setgroups denied, as the kernel demands). The process must be single-threaded. Throws with
// a hint naming the setting that forbids it.
IdMap enter_user_namespace();

// The mount namespace, and those that the flags name besides (CLONE_NEWIPC...). Mounts of the host
// made later still arrive (a less privileged mount namespace is made a slave by the kernel), ours
// never leave.
void enter_mount_namespace(int more_flags);

// Brings up the loopback interface of a new network namespace.
void raise_loopback();

// For the payload: no_new_privs, and every capability set empty. The identity of root grants
// nothing either: execve would restore capabilities only within the bounding set.
void drop_privileges();

}  // namespace runtime
