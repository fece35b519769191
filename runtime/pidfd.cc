// SPDX-License-Identifier: Apache-2.0
#include "runtime/pidfd.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace runtime {
namespace {

bool ends_within(int pidfd, int milliseconds) {
  pollfd poll{pidfd, POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&poll, 1, milliseconds);
  } while (ready < 0 && errno == EINTR);
  return ready != 0;
}

}  // namespace

base::UniqueFd open_process(pid_t process) {
  return base::UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
}

bool has_ended(int pidfd) { return ends_within(pidfd, 0); }

void wait_for_end(int pidfd) { ends_within(pidfd, -1); }

}  // namespace runtime
