// SPDX-License-Identifier: Apache-2.0
// A new ext3 file system as mkfs.ext3 makes it with the defaults of e2fsprogs 1.47: a journal,
// blocks of 1,024 bytes below 512 MiB and of 4,096 from there, inodes of 256 bytes. Format:
// https://docs.kernel.org/filesystems/ext4.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "ext/partition.h"

namespace ext {

// Block numbers have 32 bits.
inline constexpr std::uint64_t kMaxFileSystemSize = 0xFFFFFFFFULL * 4096;

struct NewFileSystem {
  // Paths from its root, of names between single slashes, in the order in which they are made. What
  // leads to them is made, too; all with mode 0755.
  std::vector<std::string> folders;
  // The owner of these; the root and lost+found are user 0's.
  uid_t uid = 0;
  gid_t gid = 0;
  std::array<std::uint8_t, 16> uuid{}, hash_seed{};  // by chance, but for tests
  std::int64_t created = 0;                          // seconds since the epoch
};

// The partition reads as zeros, of which what stays zero is not written: holes remain. Does not
// wait for the disk. Throws Error for a size that is too small or too large, for names that cannot
// be, and for what the system refuses.
void make_file_system(const Partition& partition, const NewFileSystem& wanted);

}  // namespace ext
