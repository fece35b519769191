// SPDX-License-Identifier: Apache-2.0
// A background process that outlives the program that the launcher becomes: no child of it, no
// member of its session or process group, holding nothing of it open.
#pragma once

#include <functional>
#include <vector>

namespace runtime {

// Forks twice and runs `body` in the grandchild, which exits when `body` returns; waits for the
// child in between, so there is no zombie. Only `kept_fds` stay open there, and standard error if
// it is a file or terminal (a pipe held open would make `sifrun ... | cat` wait for us).
// The caller must be single-threaded. Throws Error when a fork fails.
void start_server_process(const char* name, const std::vector<int>& kept_fds,
                          const std::function<void()>& body);

// Of this process, in whatever user namespace it is; and none will come by exec.
void give_up_capabilities();

}  // namespace runtime
