// SPDX-License-Identifier: Apache-2.0
// Locks of parts of a file, which processes that change and read the same image take.
#pragma once

#include <cstdint>
#include <string_view>

namespace base {

enum class RangeLock { shared, exclusive };

// False if somebody else has a lock that does not go with it. It ends with the last descriptor of
// the open file (F_OFD_SETLK of fcntl(2)), and needs one that is open for writing if exclusive,
// else for reading. Without effect on file systems that know no locks.
bool try_lock_range(int fd, std::uint64_t offset, std::uint64_t size, RangeLock kind,
                    std::string_view name);

}  // namespace base
