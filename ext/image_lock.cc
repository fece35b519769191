// SPDX-License-Identifier: Apache-2.0
#include "ext/image_lock.h"

#include <fcntl.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "base/error.h"
#include "base/log.h"

namespace ext {
namespace {

using Clock = std::chrono::steady_clock;

// A run that has just ended may still be writing its last changes.
constexpr std::chrono::seconds kPatience{5};
constexpr std::chrono::milliseconds kInterval{20};

bool try_lock(int fd, std::uint64_t offset, std::uint64_t size, Access access,
              const std::string& name) {
  struct flock lock {};
  lock.l_type = access == Access::read_write ? F_WRLCK : F_RDLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(offset);
  lock.l_len = static_cast<off_t>(size);
  if (::fcntl(fd, F_OFD_SETLK, &lock) == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  base::log_verbose(name, " cannot be locked: ", base::errno_text(errno));
  return true;
}

}  // namespace

void lock_image(int fd, std::uint64_t offset, std::uint64_t size, Access access,
                const std::string& name) {
  const bool writes = access == Access::read_write;
  const Clock::time_point deadline = Clock::now() + kPatience;
  while (!try_lock(fd, offset, size, access, name)) {
    if (Clock::now() >= deadline) {
      throw base::error("cannot use ", name, ": another process ",
                        writes ? "uses it" : "writes to it")
          .with_hint(writes
                         ? "add :ro, with which several can use it at a time; or wait for its end"
                         : "wait for its end, or use a copy");
    }
    std::this_thread::sleep_for(kInterval);
  }
}

}  // namespace ext
