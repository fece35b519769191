// SPDX-License-Identifier: Apache-2.0
// Finding and becoming programs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shell {

// A command with a slash, or searched for in `search_path`. Empty if it cannot be run, with errno
// ENOENT (not found) or EACCES (found, not executable).
std::string find_program(const std::string& name, std::string_view search_path);

// execve(2) that also interprets shell scripts in this process where the kernel cannot start
// them: no #! line, or a #! line naming a shell that does not exist here. Returns only on failure,
// with errno set.
void become_program(const std::string& path, const std::vector<std::string>& arguments,
                    const std::vector<std::string>& environment);

// Interprets the file as a script; ends the process with its status. Returns on failure only:
// errno ENOEXEC if it is no script of this interpreter.
void become_script(const std::string& path, const std::vector<std::string>& arguments,
                   const std::vector<std::string>& environment);

}  // namespace shell
