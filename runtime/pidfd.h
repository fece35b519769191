// SPDX-License-Identifier: Apache-2.0
// Processes by descriptor (pidfd_open(2), Linux 5.3), which no other process can come to stand for.
#pragma once

#include <sys/types.h>

#include "base/unique_fd.h"

namespace runtime {

// Close-on-exec; invalid, with errno, when there is none.
base::UniqueFd open_process(pid_t process);

bool has_ended(int pidfd);
void wait_for_end(int pidfd);

}  // namespace runtime
