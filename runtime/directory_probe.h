// SPDX-License-Identifier: Apache-2.0
// Finds out whether a LOOKUP that waits for its answer is that of a program, for which the kernel
// holds the directory's lock (lookup_slow() in fs/namei.c), or the confirmation of a name that it
// knows, for which it holds none: FUSE_NOTIFY_INVAL_ENTRY takes the lock, too, and returns from
// write(2) only when it has had it. So it is written by a thread of its own.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/unique_fd.h"

namespace runtime {

// All calls by one thread.
class DirectoryProbe {
 public:
  // The device is borrowed.
  explicit DirectoryProbe(int device);
  ~DirectoryProbe();
  DirectoryProbe(const DirectoryProbe&) = delete;
  DirectoryProbe& operator=(const DirectoryProbe&) = delete;

  // Gives the probe's number. Nothing comes of it where there is no thread to spare.
  std::uint64_t begin(std::uint64_t directory, std::string_view name);
  // Readable for poll(2) when probes have ended: finished() tells the last one's number.
  int event() const { return event_.get(); }
  std::uint64_t finished();

 private:
  void work();

  const int device_;
  base::UniqueFd event_;
  std::mutex mutex_;  // of what follows
  std::condition_variable wake_;
  std::deque<std::vector<std::byte>> messages_;
  bool stops_ = false;
  std::uint64_t begun_ = 0, finished_ = 0;
  std::thread thread_;
};

}  // namespace runtime
