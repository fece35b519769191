// SPDX-License-Identifier: Apache-2.0
// Puts small files into the kernel's cache before they are asked for, when a program goes through
// them in the order in which they lie in the image, as copying and searching do: a block of many
// files is inflated for the first of them, and a request for each other one would cost far more
// than handing it over.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "runtime/page_store.h"
#include "sif/squashfs_reader.h"

namespace runtime {

class ReadAhead {
 public:
  // `device_fd` is the mounted device; all are borrowed. A recorder is told of what is stored.
  ReadAhead(int device_fd, const sif::SquashfsReader& reader, TraceRecorder* recorder);

  // The start of `file` was asked for. To be called before that is answered, and by a thread that
  // is not the only one to serve: the kernel may wait for the answer to another request, so never
  // more than one thread is held up here. Thread-safe.
  void follow(sif::InodeRef file);
  // Nothing happens any more.
  void give_up() { has_given_up_ = true; }

 private:
  // Files asked for one behind the other.
  struct Run {
    sif::PackedFile last;
    unsigned length = 0;
    std::uint64_t used = 0;  // when, for finding the oldest
  };

  Run& run_of(const sif::PackedFile& file);
  void store_rest(Run& run);

  const sif::SquashfsReader& reader_;
  std::atomic<bool> has_given_up_ = false;
  std::mutex mutex_;
  std::array<Run, 32> runs_;
  std::uint64_t clock_ = 0;
  std::vector<sif::PackedFile> files_;  // all of the image, once there was a long run
  PageStore store_;
};

}  // namespace runtime
