// SPDX-License-Identifier: Apache-2.0
#include "cmd/child_process.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <exception>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "cmd/exit_codes.h"

namespace cmd {
namespace {

constexpr int kPatience = 3;  // s

}  // namespace

HeldSignals::HeldSignals() {
  ::sigemptyset(&ending_);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_IGN)
      ::sigaddset(&ending_, signal);
  }
  held_ = ending_;
  ::sigaddset(&held_, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &held_, &before_);
  // A caller that ignores it would have children vanish unseen.
  struct sigaction usual {};
  ::sigaction(SIGCHLD, &usual, &child_action_);
}

int HeldSignals::pending() const {
  const timespec at_once{};
  return std::max(::sigtimedwait(&ending_, nullptr, &at_once), 0);
}

void HeldSignals::throw_if_interrupted() const {
  sigset_t come;
  ::sigpending(&come);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (::sigismember(&ending_, signal) != 0 && ::sigismember(&come, signal) != 0)
      throw base::error("interrupted");
  }
}

void HeldSignals::release() noexcept {
  ::sigaction(SIGCHLD, &child_action_, nullptr);
  ::sigprocmask(SIG_SETMASK, &before_, nullptr);
}

int HeldSignals::wait(int seconds) const {
  if (seconds == 0) return ::sigwaitinfo(&held_, nullptr);
  const timespec limit{seconds, 0};
  return ::sigtimedwait(&held_, nullptr, &limit);
}

Ending run_child(HeldSignals& signals, const char* name, const std::function<void()>& become,
                 WhenAsked rule) {
  const pid_t parent = ::getpid();
  const pid_t child = base::fork_or_throw(base::cat("cannot start ", name));
  if (child == 0) {
    signals.release();
    ::prctl(PR_SET_PDEATHSIG, rule == WhenAsked::cleans_up ? SIGTERM : SIGKILL);
    if (::getppid() != parent) ::_exit(kExitFatal);
    become();
    ::_exit(kExitFatal);
  }
  Ending ending;
  for (;;) {
    const pid_t ended = ::waitpid(child, &ending.status, WNOHANG);
    if (ended < 0) throw base::errno_error(errno, "cannot wait for ", name);
    if (ended > 0) break;
    const bool is_asked = ending.signal != 0;
    const bool has_limit = is_asked && rule == WhenAsked::ends_soon;
    const int signal = signals.wait(has_limit ? kPatience : 0);
    if (signal == SIGCHLD || (signal < 0 && errno != EAGAIN)) continue;
    if (signal > 0) ending.signal = signal;
    ::kill(child, has_limit ? SIGKILL : SIGTERM);
  }
  // Ctrl-C is for both, and its death may be seen first.
  if (ending.signal == 0) ending.signal = signals.pending();
  return ending;
}

void adopt_orphans() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }

void end_children() noexcept {
  try {
    while (true) {
      const std::string text = base::read_small_file("/proc/thread-self/children");
      for (const std::string& child : base::split(text, ' ')) {
        if (!child.empty()) ::kill(static_cast<pid_t>(std::stol(child)), SIGKILL);
      }
      if (::wait(nullptr) < 0 && errno != EINTR) return;
    }
  } catch (const std::exception& problem) {
    base::log_verbose("cannot end what is running: ", problem.what());
  }
}

void become_program(const std::string& program, const std::vector<std::string>& arguments,
                    std::string_view hint) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execvp(program.c_str(), argv.data());
  base::log_fatal(base::errno_error(errno, "cannot start ", base::printable(program))
                      .with_hint(std::string(hint)));
  ::_exit(kExitFatal);
}

}  // namespace cmd
