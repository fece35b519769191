// SPDX-License-Identifier: Apache-2.0
// Puts data of files into the kernel's cache unasked (FUSE_NOTIFY_STORE).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/access_trace.h"
#include "sif/squashfs_reader.h"

namespace runtime {

class PageStore {
 public:
  // `device_fd` is the mounted device; all are borrowed. A recorder is told of what is stored.
  PageStore(int device_fd, const sif::SquashfsReader& reader, TraceRecorder* recorder)
      : device_fd_(device_fd), reader_(reader), recorder_(recorder) {}

  // Up to `size` bytes of `file` from `offset` on, whole pages or to the end. False with errno if
  // the kernel refuses: ENOENT, it does not know this file, so nobody has looked for it; ENODEV,
  // the mount is gone. Waits while the kernel waits for the same data by another request. Throws
  // when the data cannot be read.
  bool put(sif::InodeRef file, std::uint64_t offset, std::uint32_t size);

 private:
  const int device_fd_;
  const sif::SquashfsReader& reader_;
  TraceRecorder* const recorder_;
  std::vector<std::byte> message_;
};

}  // namespace runtime
