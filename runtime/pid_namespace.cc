// SPDX-License-Identifier: Apache-2.0
#include "runtime/pid_namespace.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/syscalls.h"
#include "runtime/ext_mount.h"

namespace runtime {
namespace {

// Left to their default in the stand-in: faults are its own.
constexpr std::array kNotPassedOn = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGTTIN, SIGTTOU};

constexpr int kFatal = 255;  // exit status of what the runtime could not do

pid_t fork_process() {
  return base::fork_or_throw("cannot start a process in a new PID namespace");
}

// `parent` is its number in /proc. The parent may have ended before it was known that we end with
// it; getppid() tells nothing about a process outside of the namespace.
void end_with(const std::string& parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const auto status = base::find_small_file("/proc/self/status");
  if (!parent.empty() && status && status->find("\nPPid:\t" + parent + "\n") == std::string::npos)
    ::_exit(EXIT_FAILURE);
}

// All that have ended. Ends with the payload, and tells how that ended.
void reap(pid_t payload) {
  int status = 0;
  for (pid_t ended = ::waitpid(-1, &status, WNOHANG); ended > 0;
       ended = ::waitpid(-1, &status, WNOHANG)) {
    if (ended != payload) continue;
    [[maybe_unused]] const ssize_t size = ::write(STDIN_FILENO, &status, sizeof status);
    ::_exit(EXIT_SUCCESS);
  }
}

// PID 1 of the namespace, the payload's parent. It holds nothing open but the pipe `report`, so
// that other pipes end with the payload, and its death ends all that is left inside.
[[noreturn]] void serve_as_init(pid_t payload, int report, const sigset_t& waited) {
  ::prctl(PR_SET_NAME, "sifrun-init", 0, 0, 0);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // it keeps capabilities: nobody may trace it
  [[maybe_unused]] const int ignored = ::chdir("/");
  ::dup2(report, STDIN_FILENO);
  base::close_descriptors(STDIN_FILENO + 1);
  for (;;) {
    siginfo_t info{};
    if (::sigwaitinfo(&waited, &info) < 0) continue;
    if (info.si_signo == SIGCHLD) {
      reap(payload);
    } else if (info.si_code <= 0 && info.si_pid == 0) {
      // From the stand-in, which is outside; what processes inside send to init means nothing.
      ::kill(payload, info.si_signo);
    }
  }
}

[[noreturn]] void end_like(int wait_status) {
  if (!WIFSIGNALED(wait_status)) ::_exit(WEXITSTATUS(wait_status));
  const int number = WTERMSIG(wait_status);
  const rlimit no_core{0, 0};  // the payload has left its own, if any
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::signal(number, SIG_DFL);
  base::unblock_all_signals();
  ::raise(number);
  ::_exit(128 + number);
}

void stop_as_asked() {
  sigset_t original, stop;
  ::sigemptyset(&stop);
  ::sigaddset(&stop, SIGTSTP);
  ::raise(SIGTSTP);  // pending until it may be taken
  ::sigprocmask(SIG_UNBLOCK, &stop, &original);
  ::sigprocmask(SIG_SETMASK, &original, nullptr);
}

// Process 1 of a container of another kind gets orphans, too.
bool has_ended(pid_t process, int& status) {
  if (::getpid() != 1) return ::waitpid(process, &status, WNOHANG) == process;
  for (pid_t ended; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;)
    if (ended == process) return true;
  return false;
}

// `first` is the payload, or the init that tells through `report` how the payload ended.
[[noreturn]] void stand_in_for(pid_t first, int report, const sigset_t& waited,
                               std::span<const int> ends) {
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // it has the host's root and capabilities, as init does
  std::vector<int> kept(ends.begin(), ends.end());
  kept.push_back(report);
  base::close_descriptors_but(kept);
  for (;;) {
    siginfo_t info{};
    if (::sigwaitinfo(&waited, &info) < 0) continue;
    if (info.si_signo == SIGCHLD) {
      int status = 0;
      if (!has_ended(first, status)) continue;
      int told = 0;
      // Nothing comes from an init that was killed, or if there is none.
      if (::read(report, &told, sizeof told) == sizeof told) status = told;
      bool is_complete = true;
      for (const int end : ends) is_complete = wait_for_ext_server(end) && is_complete;
      if (!is_complete && status == 0) ::_exit(kFatal);
      end_like(status);
    } else {
      // What the terminal sends reaches the payload by itself.
      if (info.si_code <= 0) ::kill(first, info.si_signo);
      // Job control stops it together with the payload, for the shell to notice.
      if (info.si_signo == SIGTSTP) stop_as_asked();
    }
  }
}

// Children are in the namespace from here on.
void become_payload(bool with_init, std::span<const int> ends) {
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
  base::Pipe report = base::make_pipe();
  const pid_t first = fork_process();
  if (first != 0) {
    report.write_end.reset();
    stand_in_for(first, report.read_end.get(), waited, ends);
  }
  end_with(self);
  if (with_init) {
    const pid_t payload = fork_process();
    if (payload != 0) serve_as_init(payload, report.write_end.get(), waited);
  }
  ::sigaction(SIGCHLD, &original_child, nullptr);
  ::sigprocmask(SIG_SETMASK, &original, nullptr);
}

}  // namespace

void enter_pid_namespace(bool with_init, std::span<const int> ends) {
  if (::unshare(CLONE_NEWPID) != 0) throw base::errno_error(errno, "cannot make a PID namespace");
  become_payload(with_init, ends);
}

void enter_child_process(std::span<const int> ends) { become_payload(false, ends); }

void keep_ending_with(pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(EXIT_FAILURE);
}

void enter_joined_pid_namespace() { become_payload(false, {}); }

}  // namespace runtime
