// SPDX-License-Identifier: Apache-2.0
#include "oci/attempts.h"

#include <chrono>
#include <thread>

namespace oci {

bool is_passing_status(int status) { return status == 408 || status == 429 || status >= 500; }

void pause_after(int attempt) {
  constexpr std::chrono::seconds kFirstPause{1};
  std::this_thread::sleep_for(kFirstPause * (1 << (attempt - 1)));
}

}  // namespace oci
