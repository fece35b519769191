// SPDX-License-Identifier: Apache-2.0
// The processes around a payload in a PID namespace of its own (--pid): the process that the user
// started stays outside as its stand-in, and a small init reaps orphans inside.
#pragma once

#include <sys/types.h>

#include <span>

namespace runtime {

// Returns in the payload's process only, which still has all of the set-up before it. The caller's
// process passes signals on, and ends as the payload ends: same exit status, same signal. Whatever
// kills the caller's process, the namespace dies with it. The payload is init's only child at
// first: HTCondor enters a job by the first child of the runtime's first child. Without init, the
// payload is PID 1 itself. The process must be single-threaded.
// `ends`: connections to file servers, whose end the caller's process waits for before it ends.
void enter_pid_namespace(bool with_init, std::span<const int> ends = {});

// The same without a namespace.
void enter_child_process(std::span<const int> ends);

// Both have the payload's process killed when its parent is, which a change of its credentials
// makes the kernel forget. `parent` is what getppid(2) said before.
void keep_ending_with(pid_t parent);

// The same for a PID namespace that the caller has joined (setns(2)), which has its own init.
void enter_joined_pid_namespace();

}  // namespace runtime
