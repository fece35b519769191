// SPDX-License-Identifier: Apache-2.0
#include "cmd/ask_secret.h"

#include <termios.h>
#include <unistd.h>

#include "base/output.h"
#include "cmd/interrupts.h"

namespace cmd {
namespace {

class SilentTerminal {
 public:
  SilentTerminal() {
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    silent.c_lflag |= ECHONL;
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  }
  ~SilentTerminal() { restore(); }
  SilentTerminal(const SilentTerminal&) = delete;
  SilentTerminal& operator=(const SilentTerminal&) = delete;

 private:
  static termios attributes() {
    termios now{};
    ::tcgetattr(STDIN_FILENO, &now);
    return now;
  }
  void restore() const { ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_); }

  const termios before_ = attributes();
  const Interrupts interrupts_{[this] { restore(); }};
};

}  // namespace

std::optional<std::string> ask_secret(std::string_view question) {
  if (::isatty(STDIN_FILENO) == 0) return base::ask(question);
  const SilentTerminal terminal;
  return base::ask(question);
}

}  // namespace cmd
