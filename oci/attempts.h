// SPDX-License-Identifier: Apache-2.0
// Further attempts at a server that is busy, or at a gateway without one behind it: what many jobs
// that begin at once meet at a registry.
#pragma once

#include <cerrno>

#include "base/error.h"
#include "base/log.h"

namespace oci {

inline constexpr int kMaxAttempts = 5;  // in a row that bring nothing

// Another attempt may do better. Errors about such an answer have the errno EAGAIN.
bool is_passing_status(int status);

// Waits a second after the first attempt, and twice as long after each further one.
void pause_after(int attempt);

// What `ask` gives, which throws EAGAIN to be called again.
template <typename Ask>
auto ask_patiently(const Ask& ask) {
  for (int attempt = 1;; ++attempt) {
    try {
      return ask();
    } catch (const base::Error& problem) {
      if (problem.errno_value() != EAGAIN || attempt == kMaxAttempts) throw;
      base::log_verbose(problem.what(), "; trying again");
    }
    pause_after(attempt);
  }
}

}  // namespace oci
