// SPDX-License-Identifier: Apache-2.0
#include "base/output.h"

#include <cerrno>
#include <cstdio>

#include "base/error.h"

namespace base {

void print_text(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void flush_output() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  if (errno != 0) throw errno_error(errno, "cannot write to standard output");
  throw error("cannot write to standard output");
}

std::optional<std::string> ask(std::string_view question) {
  print_text(question);
  std::fflush(stdout);
  std::string answer;
  int next = std::getchar();
  if (next == EOF) return std::nullopt;
  for (; next != EOF && next != '\n'; next = std::getchar()) answer += static_cast<char>(next);
  return answer;
}

}  // namespace base
