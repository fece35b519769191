// SPDX-License-Identifier: Apache-2.0
#include "base/unique_fd.h"

#include <unistd.h>

namespace base {

void UniqueFd::reset(int fd) noexcept {
  // A failed close has released the descriptor on Linux all the same (close(2)); writers that care
  // call fsync first.
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

}  // namespace base
