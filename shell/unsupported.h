// SPDX-License-Identifier: Apache-2.0
// What of bash this interpreter leaves to bash itself, so far as the text of a script tells it:
// found before any of the script runs.
#pragma once

#include <string>

#include "shell/ast.h"

namespace shell {

// Its name, for the error; empty if there is none.
std::string find_unsupported(const SimpleCommand& command);

}  // namespace shell
