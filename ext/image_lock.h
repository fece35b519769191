// SPDX-License-Identifier: Apache-2.0
// Keeps processes that change an ext file system, and those that read it, from each other.
#pragma once

#include <cstdint>
#include <string>

#include "ext/file_system.h"

namespace ext {

// For writing keeps all others out, for reading those that write; they are Apptainer's locks, too.
// They end with the last descriptor of the open file (F_OFD_SETLK of fcntl(2)), which is open for
// writing or reading. Waits five seconds, then throws Error with a hint. Without effect on file
// systems that know no locks.
void lock_image(int fd, std::uint64_t offset, std::uint64_t size, Access access,
                const std::string& name);

}  // namespace ext
