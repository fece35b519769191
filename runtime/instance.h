// SPDX-License-Identifier: Apache-2.0
// Containers that run in the background under a name: started, and joined by later commands.
//
//   launcher -> watcher (removes the record when the instance is dead, holds nothing else)
//                 -> init (PID 1 of the instance's namespaces, without privileges) -> startscript
#pragma once

#include "runtime/instance_record.h"
#include "runtime/run_plan.h"

namespace runtime {

// Returns when the instance is there and its record is written; throws what kept it from starting.
// `lock` is the folder's. The plan's PID namespace and verb (start or run) are the instance's.
void start_instance(RunPlan plan, const InstanceFolder& folder, InstanceRecord record,
                    base::UniqueFd lock);

// PID 1 of an instance: passes signals on to all processes inside, and ends after one when none is
// left, or soon after `script`, which the instance was started for: shells have their background
// jobs ignore signals. It is this program executed anew, under this name and with two numbers: a
// descriptor where who has started the instance waits for a byte, and the script's process.
inline constexpr const char* kInitName = "sifrun-init";
[[noreturn]] void run_instance_init(int ready, pid_t script);

struct JoinRequest {
  StartRequest start;
  ActionRequest action;
  bool reset_umask = false;
};
// Enters the instance's namespaces and becomes the payload there, a process of its PID namespace;
// the caller's process is its stand-in.
[[noreturn]] void run_in_instance(const InstanceRecord& record, JoinRequest request);

}  // namespace runtime
