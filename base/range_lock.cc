// SPDX-License-Identifier: Apache-2.0
#include "base/range_lock.h"

#include <fcntl.h>

#include <cerrno>

#include "base/error.h"
#include "base/log.h"

namespace base {

bool try_lock_range(int fd, std::uint64_t offset, std::uint64_t size, RangeLock kind,
                    std::string_view name) {
  struct flock lock {};
  lock.l_type = kind == RangeLock::exclusive ? F_WRLCK : F_RDLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(offset);
  lock.l_len = static_cast<off_t>(size);
  if (::fcntl(fd, F_OFD_SETLK, &lock) == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  log_verbose(name, " cannot be locked: ", errno_text(errno));
  return true;
}

}  // namespace base
