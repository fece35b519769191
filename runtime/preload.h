// SPDX-License-Identifier: Apache-2.0
// Asks a mounted image for what a trace says, ahead of the program that will want it. That happens
// in a process of its own within the mount's user namespace, which alone may use the mount; it ends
// with the trace, with the program, or with the file server that started it.
#pragma once

#include <sys/types.h>

#include "base/unique_fd.h"
#include "runtime/access_trace.h"

namespace runtime {

class Preloader {
 public:
  // Forks, so it is for the file server's process before it has threads. Without a process to
  // spare, begin() has no effect.
  explicit Preloader(const AccessTrace& trace);

  // `root` is the mount's directory, `program` the pidfd of who must live for this to go on.
  void begin(int root, int user_namespace, int program);

 private:
  base::UniqueFd control_;
};

// Replays in this process: never waits for data, stops where the mount fails or `program` (a
// pidfd) has ended.
void replay(const AccessTrace& trace, int root, int program);

}  // namespace runtime
