// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.h"

// Runs one access; corruption must carry an errno, since FUSE reports nothing else.
template <typename Access>
void attempt(Access access) {
  try {
    access();
  } catch (const base::Error& error) {
    if (error.errno_value() == 0) __builtin_trap();
  }
}
