// SPDX-License-Identifier: Apache-2.0
#include "runtime/pid_namespace.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "base/syscalls.h"

namespace runtime {
namespace {

// Left to their default in the stand-in: faults are its own, and job control must stop it together
// with the payload for the shell to notice.
constexpr std::array kNotPassedOn = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,
                                     SIGTRAP, SIGTSTP, SIGTTIN, SIGTTOU};

pid_t fork_or_throw() {
  const pid_t pid = ::fork();
  if (pid < 0) throw base::errno_error(errno, "cannot start a process in a new PID namespace");
  return pid;
}

// `parent` is its number in /proc. The parent may have ended before it was known that we end with
// it; getppid() tells nothing about a process outside of the namespace.
void end_with(const std::string& parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const auto status = base::find_small_file("/proc/self/status");
  if (!parent.empty() && status && status->find("\nPPid:\t" + parent + "\n") == std::string::npos)
    ::_exit(EXIT_FAILURE);
}

// PID 1 of the namespace. It holds nothing open, so that pipes end with the payload.
[[noreturn]] void reap_until_killed() {
  ::prctl(PR_SET_NAME, "sifrun-init", 0, 0, 0);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // it keeps capabilities: nobody may trace it
  [[maybe_unused]] const int ignored = ::chdir("/");
  base::close_descriptors(0);
  sigset_t children;
  ::sigemptyset(&children);
  ::sigaddset(&children, SIGCHLD);
  for (;;) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    ::sigwaitinfo(&children, nullptr);
  }
}

[[noreturn]] void end_like(int wait_status) {
  if (!WIFSIGNALED(wait_status)) ::_exit(WEXITSTATUS(wait_status));
  const int number = WTERMSIG(wait_status);
  const rlimit no_core{0, 0};  // the payload has left its own, if any
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::raise(number);
  ::_exit(128 + number);
}

// `init` is 0 if there is none.
[[noreturn]] void stand_in_for(pid_t payload, pid_t init, const sigset_t& waited) {
  base::close_descriptors(STDERR_FILENO + 1);
  for (;;) {
    siginfo_t info{};
    if (::sigwaitinfo(&waited, &info) < 0) continue;
    if (info.si_signo == SIGCHLD) {
      int status = 0;
      if (::waitpid(payload, &status, WNOHANG) != payload) continue;
      // Ends all that is left inside; waiting for it means that nothing outlives us.
      if (init != 0 && ::kill(init, SIGKILL) == 0) ::waitpid(init, nullptr, 0);
      end_like(status);
    } else if (info.si_code <= 0) {
      // Sent by a process. What the terminal sends reaches the payload by itself.
      ::kill(payload, info.si_signo);
    }
  }
}

}  // namespace

void enter_pid_namespace(bool with_init) {
  if (::unshare(CLONE_NEWPID) != 0) throw base::errno_error(errno, "cannot make a PID namespace");
  sigset_t waited, original;
  ::sigfillset(&waited);
  for (const int number : kNotPassedOn) ::sigdelset(&waited, number);
  ::sigprocmask(SIG_SETMASK, &waited, &original);
  // A caller that ignores SIGCHLD would have children vanish unseen.
  struct sigaction original_child {};
  struct sigaction default_child {};
  default_child.sa_handler = SIG_DFL;
  ::sigaction(SIGCHLD, &default_child, &original_child);
  const std::string self = base::find_link_target("/proc/self").value_or("");
  const pid_t init = with_init ? fork_or_throw() : 0;
  if (with_init && init == 0) {
    end_with(self);
    reap_until_killed();
  }
  const pid_t payload = fork_or_throw();
  if (payload != 0) stand_in_for(payload, init, waited);
  if (!with_init) end_with(self);
  ::sigaction(SIGCHLD, &original_child, nullptr);
  ::sigprocmask(SIG_SETMASK, &original, nullptr);
}

}  // namespace runtime
