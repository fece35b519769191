// SPDX-License-Identifier: Apache-2.0
// Finding and becoming programs.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "shell/interpreter.h"

namespace shell {

// A command with a slash, or searched for in `search_path`. Empty if it cannot be run, with errno
// ENOENT (not found) or EACCES (found, not executable). Where `is_absent` is true of a path it is
// not looked at.
using PathPredicate = std::function<bool(const std::string&)>;
std::string find_program(const std::string& name, std::string_view search_path,
                         const PathPredicate& is_absent = {});

// Whether executing the path, or what its #! line names, would be executing /proc/self/exe: the
// host's file, whose new process could be looked into, and written through, from the container.
bool leads_to_ourselves(const std::string& path);

// execve(2) that also interprets shell scripts in this process where the kernel cannot start
// them: no #! line, or a #! line naming a shell that does not exist here. Ends the process with 2
// and a logged error if it cannot interpret such a script. Never executes ourselves. Returns only
// on failure, with errno set.
void become_program(const std::string& path, const std::vector<std::string>& arguments,
                    const std::vector<std::string>& environment);

// Interprets the text of the script at `path` ($0) with its $1... and ends the process with its
// status. Throws SyntaxError before anything ran, base::Error where the interpreter gives up.
[[noreturn]] void become_script(Options options, const std::string& text, const std::string& path,
                                std::vector<std::string> arguments,
                                const std::vector<std::string>& environment);

}  // namespace shell
