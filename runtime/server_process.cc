// SPDX-License-Identifier: Apache-2.0
#include "runtime/server_process.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>

#include "base/error.h"
#include "base/syscalls.h"

namespace runtime {
namespace {

#ifdef __SANITIZE_THREAD__  // keeps much of its own there
constexpr std::size_t kThreadStack = 8 << 20;
#else
constexpr std::size_t kThreadStack = 512 << 10;
#endif
constexpr int kHeapBytes = 16 << 20;  // address space: the block cache and what the threads need
constexpr std::uintptr_t kHugePage = 2 << 20;

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

// Batch systems send SIGTERM to everything in the job before they kill it: the program must still
// find its files while it saves its work. We end with the mount, not by a signal.
void ignore_signals() {
  for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE,
                           SIGTSTP, SIGTTIN, SIGTTOU, SIGXCPU, SIGXFSZ, SIGCONT})
    ::signal(number, SIG_IGN);
  ::signal(SIGCHLD, SIG_DFL);
  base::unblock_all_signals();
}

// `ulimit -t` and the like are meant for the program, not for its file system.
void raise_soft_limits() {
  for (const auto resource : {RLIMIT_CPU, RLIMIT_AS, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_NOFILE}) {
    struct rlimit limit {};
    if (::getrlimit(resource, &limit) != 0) continue;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(resource, &limit);
  }
}

// Stack limits are the user's and may be huge or tiny; the frames of our threads are neither.
void limit_thread_stacks() {
  pthread_attr_t attributes;
  if (::pthread_attr_init(&attributes) != 0) return;
  ::pthread_attr_setstacksize(&attributes, kThreadStack);
  ::pthread_setattr_default_np(&attributes);
  ::pthread_attr_destroy(&attributes);
}

// A heap for each thread and a mapping for each block would cost a dozen system calls a thread and
// two a block; and blocks in pages of 4 KiB cost more for their page faults than for inflating.
void use_one_heap_of_huge_pages() {
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, 2 * kHeapBytes);
  ::mallopt(M_TRIM_THRESHOLD, 4 * kHeapBytes);
  const auto end = reinterpret_cast<std::uintptr_t>(::sbrk(0));
  ::sbrk(static_cast<std::intptr_t>(-end % kHugePage));  // the heap goes on at the boundary
  void* const whole = std::malloc(kHeapBytes);
  if (whole == nullptr) return;
  const auto start = reinterpret_cast<std::uintptr_t>(whole) / kHugePage * kHugePage;
  ::madvise(reinterpret_cast<void*>(start), kHeapBytes, MADV_HUGEPAGE);
  std::free(whole);
}

// With a page below that nothing may touch: an overflow ends the process.
class GuardedStack {
 public:
  GuardedStack() : page_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) {
    start_ = ::mmap(nullptr, page_ + kThreadStack, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (start_ == MAP_FAILED) throw base::errno_error(errno, "cannot make a stack");
    ::mprotect(start_, page_, PROT_NONE);
  }
  ~GuardedStack() { ::munmap(start_, page_ + kThreadStack); }
  GuardedStack(const GuardedStack&) = delete;
  GuardedStack& operator=(const GuardedStack&) = delete;

  std::byte* top() const { return static_cast<std::byte*>(start_) + page_ + kThreadStack; }

 private:
  std::size_t page_;
  void* start_;
};

[[noreturn]] void run_server(const char* name, const std::vector<int>& kept_fds,
                             const std::function<void()>& body) {
  int status = 0;
  try {
    ignore_signals();
    redirect_standard_streams();
    base::close_descriptors_but(kept_fds);
    [[maybe_unused]] const int ignored = ::chdir("/");
    ::prctl(PR_SET_NAME, name, 0, 0, 0);
    raise_soft_limits();
    limit_thread_stacks();
    give_up_capabilities();  // everything is open; root's server needs no more either
    use_one_heap_of_huge_pages();
    body();
  } catch (const std::exception&) {
    status = 1;  // nobody waits for us; the launcher sees the closed socket or mount
  }
  ::_exit(status);
}

}  // namespace

void give_up_capabilities() {
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  ::syscall(SYS_capset, &header, none.data());
}

void start_server_process(const char* name, const std::vector<int>& kept_fds,
                          const std::function<void()>& body) {
  struct Start {
    const char* name;
    const std::vector<int>& kept_fds;
    const std::function<void()>& body;
    int problem = 0;
  } start{name, kept_fds, body};
  // The process in between runs in our memory, as after vfork(2): copying that once, for the
  // server, is the most costly step of a start. The server stays on this stack, in its copy.
  const GuardedStack stack;
  const pid_t between = ::clone(
      [](void* argument) -> int {
        auto& wanted = *static_cast<Start*>(argument);
        ::setsid();
        const pid_t server = ::fork();
        if (server == 0) run_server(wanted.name, wanted.kept_fds, wanted.body);
        if (server < 0) wanted.problem = errno;
        ::_exit(0);
      },
      stack.top(), CLONE_VM | CLONE_VFORK | SIGCHLD, &start);
  if (between < 0) throw base::errno_error(errno, "cannot start the process ", name);
  // ECHILD: our parent had us ignore SIGCHLD, which reaps by itself.
  while (::waitpid(between, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (start.problem != 0) throw base::errno_error(start.problem, "cannot start the process ", name);
}

}  // namespace runtime
