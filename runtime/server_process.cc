// SPDX-License-Identifier: Apache-2.0
#include "runtime/server_process.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>

#include "base/error.h"
#include "base/syscalls.h"

namespace runtime {
namespace {

constexpr std::size_t kThreadStack = 512 << 10;

void redirect_standard_streams() {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return;
  ::dup2(null, STDIN_FILENO);
  ::dup2(null, STDOUT_FILENO);
  struct stat status {};
  const bool keeps_stderr = ::fstat(STDERR_FILENO, &status) == 0 &&
                            (S_ISREG(status.st_mode) || ::isatty(STDERR_FILENO) == 1);
  if (!keeps_stderr) ::dup2(null, STDERR_FILENO);
  if (null > STDERR_FILENO) ::close(null);
}

void close_all_but(std::vector<int> kept) {
  std::sort(kept.begin(), kept.end());
  unsigned next = STDERR_FILENO + 1;
  for (const int fd : kept) {
    if (fd <= STDERR_FILENO) continue;
    base::close_descriptors(next, static_cast<unsigned>(fd) - 1);
    next = static_cast<unsigned>(fd) + 1;
  }
  base::close_descriptors(next);
}

// Batch systems send SIGTERM to everything in the job before they kill it: the program must still
// find its files while it saves its work. We end with the mount, not by a signal.
void ignore_signals() {
  for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE,
                           SIGTSTP, SIGTTIN, SIGTTOU, SIGXCPU, SIGXFSZ, SIGCONT})
    ::signal(number, SIG_IGN);
  ::signal(SIGCHLD, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// `ulimit -t` and the like are meant for the program, not for its file system.
void raise_soft_limits() {
  for (const auto resource : {RLIMIT_CPU, RLIMIT_AS, RLIMIT_DATA, RLIMIT_NOFILE}) {
    struct rlimit limit {};
    if (::getrlimit(resource, &limit) != 0) continue;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(resource, &limit);
  }
}

// Everything it needs is open: root's server gives up what root may do besides.
void drop_privileges() {
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  ::syscall(SYS_capset, &header, none.data());
}

// Stack limits are the user's and may be huge or tiny; the frames of our threads are neither.
void limit_thread_stacks() {
  pthread_attr_t attributes;
  if (::pthread_attr_init(&attributes) != 0) return;
  ::pthread_attr_setstacksize(&attributes, kThreadStack);
  ::pthread_setattr_default_np(&attributes);
  ::pthread_attr_destroy(&attributes);
}

[[noreturn]] void run_server(const char* name, const std::vector<int>& kept_fds,
                             const std::function<void()>& body) {
  int status = 0;
  try {
    ignore_signals();
    redirect_standard_streams();
    close_all_but(kept_fds);
    [[maybe_unused]] const int ignored = ::chdir("/");
    ::prctl(PR_SET_NAME, name, 0, 0, 0);
    raise_soft_limits();
    limit_thread_stacks();
    drop_privileges();
    body();
  } catch (const std::exception&) {
    status = 1;  // nobody waits for us; the launcher sees the closed socket or mount
  }
  ::_exit(status);
}

}  // namespace

void start_server_process(const char* name, const std::vector<int>& kept_fds,
                          const std::function<void()>& body) {
  const pid_t between = ::fork();
  if (between < 0) throw base::errno_error(errno, "cannot start the process ", name);
  if (between == 0) {
    ::setsid();
    const pid_t server = ::fork();
    if (server == 0) run_server(name, kept_fds, body);
    ::_exit(server < 0 ? errno : 0);
  }
  int status = 0;
  while (::waitpid(between, &status, 0) < 0) {
    if (errno != EINTR) return;  // ECHILD: our parent had us ignore SIGCHLD, which reaps by itself
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
    throw base::errno_error(WEXITSTATUS(status), "cannot start the process ", name);
}

}  // namespace runtime
