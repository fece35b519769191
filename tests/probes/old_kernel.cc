// SPDX-License-Identifier: Apache-2.0
// Runs a command as if the kernel were older: system calls that came after Linux 4.18 do not exist,
// and no file system makes unnamed files (O_TMPFILE). A seccomp filter answers in the kernel's
// place, so everything below the system calls is real.
//   old_kernel [--no-links] COMMAND [ARG...]
// With --no-links file systems also refuse hard links and the flags of renameat2(2), as some in
// user space do.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <vector>

namespace {

constexpr auto kLaterCalls = std::to_array<unsigned>(
    {SYS_pidfd_send_signal, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
     SYS_open_tree, SYS_move_mount, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick,
     SYS_pidfd_open, SYS_clone3, SYS_close_range, SYS_openat2, SYS_pidfd_getfd, SYS_faccessat2,
     SYS_epoll_pwait2, SYS_mount_setattr});

struct OpenCall {
  unsigned number, flags_argument;
};
constexpr auto kOpenCalls = std::to_array<OpenCall>({
    {SYS_openat, 2},
#ifdef SYS_open
    {SYS_open, 1},
#endif
});

sock_filter load(std::size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<unsigned>(offset));
}
sock_filter answer(unsigned action) { return BPF_STMT(BPF_RET | BPF_K, action); }

void forbid_links(std::vector<sock_filter>& filter) {
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_linkat, 0, 1));
  filter.push_back(answer(SECCOMP_RET_ERRNO | EPERM));
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 4));
  filter.push_back(load(offsetof(seccomp_data, args) + 8 * 4));
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0));
  filter.push_back(answer(SECCOMP_RET_ERRNO | EINVAL));
  filter.push_back(answer(SECCOMP_RET_ALLOW));
}

std::vector<sock_filter> make_filter(bool no_links) {
  std::vector<sock_filter> filter = {load(offsetof(seccomp_data, nr))};
  if (no_links) forbid_links(filter);
  for (const unsigned number : kLaterCalls) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
    filter.push_back(answer(SECCOMP_RET_ERRNO | ENOSYS));
  }
  for (const OpenCall& call : kOpenCalls) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call.number, 0, 4));
    filter.push_back(load(offsetof(seccomp_data, args) + 8 * call.flags_argument));
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY, 0, 1));
    filter.push_back(answer(SECCOMP_RET_ERRNO | EOPNOTSUPP));
    filter.push_back(answer(SECCOMP_RET_ALLOW));
  }
  filter.push_back(answer(SECCOMP_RET_ALLOW));
  return filter;
}

}  // namespace

int main(int argc, char** argv) {
  const bool no_links = argc > 1 && std::strcmp(argv[1], "--no-links") == 0;
  char** const command = argv + (no_links ? 2 : 1);
  if (argc < 2 || *command == nullptr)
    return std::fputs("usage: old_kernel [--no-links] COMMAND [ARG...]\n", stderr), 2;
  std::vector<sock_filter> filter = make_filter(no_links);
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  // Without no_new_privs an ordinary user may set no filter; root could, but shall be like others.
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    return std::perror("seccomp"), 2;
  ::execvp(*command, command);
  return std::perror(*command), 127;
}
