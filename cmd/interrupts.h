// SPDX-License-Identifier: Apache-2.0
// Ctrl-C, kill and a closed terminal: a thread waits for them, cleans up and lets the process die
// by the same signal, so that the shell sees what happened. Nothing else in the program has to ask
// whether it was interrupted, and a blocked read cannot delay the end.
#pragma once

#include <signal.h>

#include <functional>
#include <thread>

#include "base/unique_fd.h"

namespace cmd {

class Interrupts {
 public:
  // Blocks SIGINT, SIGTERM and SIGHUP for this thread and those it starts later; a signal that was
  // ignored (nohup) stays so. `clean_up` runs in the waiting thread, beside the others. Destroyed
  // by the thread that made it, which gets its signals back.
  explicit Interrupts(std::function<void()> clean_up);
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

 private:
  void wait_for_signal();

  std::function<void()> clean_up_;
  sigset_t mask_before_{};
  base::UniqueFd signals_, stop_;
  std::thread waiter_;
};

}  // namespace cmd
