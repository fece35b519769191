// SPDX-License-Identifier: Apache-2.0
// Variables that a shell computes whenever they are asked for.
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>

#include "shell/builtins.h"

namespace shell {

namespace {

// The kernel's each time: nothing that subshells, or the starts of a job array, could share.
std::string random_number() {
  std::uint16_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != static_cast<ssize_t>(sizeof number))
    throw base::errno_error(errno, "cannot get random bytes");
  return std::to_string(number & 0x7FFF);
}

}  // namespace

void Seconds::restart(const std::string& value) {
  since_ = std::chrono::steady_clock::now();
  first_ = parse_integer(value).value_or(0);
}

std::string Seconds::text() const {
  const auto passed =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - since_);
  return std::to_string(static_cast<std::int64_t>(static_cast<std::uint64_t>(first_) +
                                                  static_cast<std::uint64_t>(passed.count())));
}

std::optional<std::string> Interpreter::find_dynamic(const std::string& name) const {
  if (name == "LINENO") return std::to_string(line_);
  if (name == "BASH_SOURCE" && state_.sources > 0) return script_;
  if (name == "UID") return std::to_string(::getuid());
  if (name == "EUID") return std::to_string(::geteuid());
  if (name == "GID") return std::to_string(::getgid());
  if (name == "PPID") return std::to_string(::getppid());
  if (name == "RANDOM") return random_number();
  if (name == "SECONDS") return state_.seconds.text();
  return std::nullopt;
}

}  // namespace shell
