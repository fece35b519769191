// SPDX-License-Identifier: Apache-2.0
// For std::async: without a thread to spare (`ulimit -u`), work is done when its result is asked
// for.
#pragma once

#include <future>

namespace base {

inline constexpr std::launch kThreadIfPossible = std::launch::async | std::launch::deferred;

}  // namespace base
