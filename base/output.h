// SPDX-License-Identifier: Apache-2.0
// What a command prints for its user, and questions to them. Through stdio: the static objects
// behind std::cout would cost every start of a program a tenth of a millisecond.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/text.h"

namespace base {

// To standard output, buffered. What goes wrong is found by flush_output().
void print_text(std::string_view text);

template <typename... Parts>
void print(const Parts&... parts) {
  print_text(cat(parts...));
}

// Throws Error if anything printed so far could not be written.
void flush_output();

// Prints the question, and gives the line that follows on standard input; nullopt if none does.
std::optional<std::string> ask(std::string_view question);

}  // namespace base
