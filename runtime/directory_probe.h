// SPDX-License-Identifier: Apache-2.0
// Finds out whether a LOOKUP that waits for its answer is that of a program, for which the kernel
// holds the directory's lock (lookup_slow() in fs/namei.c), or the confirmation of a name that it
// knows, for which it holds none: FUSE_NOTIFY_INVAL_ENTRY takes the lock, too, and returns from
// write(2) only when it has had it. So it is written by a thread of its own.
#pragma once

#include <sys/types.h>

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

  // Gives the probe's number.
  std::uint64_t begin(std::uint64_t directory, std::string_view name);
  // The directory is held, which is not the same as that its probe has not ended yet: the thread
  // may not have had a turn. True, too, where that cannot be found out.
  bool is_held(std::uint64_t directory);
  // Any directory that was asked for is.
  bool is_any_held();
  // Readable for poll(2) when probes have ended: finished() tells the last one's number.
  int event() const { return event_.get(); }
  std::uint64_t finished();

 private:
  void work();
  bool is_waiting() const;

  const int device_;
  base::UniqueFd event_;
  std::mutex mutex_;  // of what follows
  std::condition_variable wake_;
  struct Message {
    std::uint64_t directory;
    std::vector<std::byte> bytes;
  };
  std::deque<Message> messages_;  // the first one is being written, or will be
  bool stops_ = false;
  std::uint64_t begun_ = 0, finished_ = 0;
  pid_t thread_id_ = 0;  // once it runs
  std::thread thread_;
};

}  // namespace runtime
