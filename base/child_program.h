// SPDX-License-Identifier: Apache-2.0
// Small programs of the host that are asked for something: getent, credential helpers.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace base {

struct ProgramAnswer {
  std::string text;  // standard output
  bool succeeded = false;
};

enum class Complaints { shown, hidden };  // the program's standard error

// Runs words[0], found by PATH, with the other words and `question` on its standard input, which
// must fit a pipe (64 KiB), and waits for its end. It has no signal blocked or handled, whatever
// the caller blocks. Reads at most `limit` bytes of its answer. Throws Error, with the errno, where
// it cannot be started.
ProgramAnswer ask_program(std::vector<std::string> words, const std::string& question,
                          std::size_t limit, Complaints complaints);

}  // namespace base
