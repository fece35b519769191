// SPDX-License-Identifier: Apache-2.0
// What the own interpreter leaves to a shell of the image: environment scripts in a language that
// it does not know all of (bash's).
#pragma once

#include <string>

#include "shell/interpreter.h"

namespace runtime {

// Runs the script with the image's bash, or its sh, and takes over the variables that it exports
// then; gives its status. Jobs that it leaves in the background are not waited for. Variables that
// are not exported, functions and the working directory are neither known to it nor taken over.
// Throws `error`, for which this is done, where there is no shell, and ExitRequest where the script
// ends bash.
int run_with_image_shell(shell::Interpreter& interpreter, const std::string& path,
                         const shell::SyntaxError& error);

}  // namespace runtime
