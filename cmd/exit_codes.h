// SPDX-License-Identifier: Apache-2.0
// Exit codes of both programs, as Apptainer has them; any other is the payload's.
#pragma once

namespace cmd {

inline constexpr int kExitUsage = 1;
inline constexpr int kExitFatal = 255;

}  // namespace cmd
