// SPDX-License-Identifier: Apache-2.0
#include "ext/image_lock.h"

#include <chrono>
#include <thread>

#include "base/error.h"
#include "base/range_lock.h"

namespace ext {
namespace {

using Clock = std::chrono::steady_clock;

// A run that has just ended may still be writing its last changes.
constexpr std::chrono::seconds kPatience{5};
constexpr std::chrono::milliseconds kInterval{20};

}  // namespace

void lock_image(int fd, std::uint64_t offset, std::uint64_t size, Access access,
                const std::string& name) {
  const bool writes = access == Access::read_write;
  const Clock::time_point deadline = Clock::now() + kPatience;
  while (!base::try_lock_range(
      fd, offset, size, writes ? base::RangeLock::exclusive : base::RangeLock::shared, name)) {
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
