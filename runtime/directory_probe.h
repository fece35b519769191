// SPDX-License-Identifier: Apache-2.0
// Finds out whether a LOOKUP that waits for its answer is that of a program, for which the kernel
// holds the directory's lock (lookup_slow() in fs/namei.c), or the confirmation of a name that it
// knows, for which it holds none: FUSE_NOTIFY_INVAL_ENTRY takes the lock, too, and returns from
// write(2) only when it has had it. That wait cannot be interrupted, so it is a process of its own
// that writes, to a device of its own: should the server be killed meanwhile, its device closes,
// which ends what it was asked. A thread would keep the device open, and whoever waits for it could
// never be killed. What programs ask from then on, while they hold the lock, the process refuses.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <string_view>

#include "base/unique_fd.h"

namespace runtime {

class DirectoryProbe {
 public:
  // `device`: a clone of the server's (FUSE_DEV_IOC_CLONE).
  explicit DirectoryProbe(base::UniqueFd device);
  ~DirectoryProbe();
  DirectoryProbe(const DirectoryProbe&) = delete;
  DirectoryProbe& operator=(const DirectoryProbe&) = delete;

  // Gives the probe's number; one that is never reached if there is no process. The process is
  // started by the first one, so that most servers have none. Single-threaded callers only.
  std::uint64_t begin(std::uint64_t directory, std::string_view name);
  // The directory is held, which is not the same as that its probe has not ended yet: the process
  // may not have had a turn. True, too, where that cannot be found out.
  bool is_held(std::uint64_t directory) const;
  // Any directory that was asked for is.
  bool is_any_held() const;
  // Readable for poll(2) when probes have ended: finished() tells the last one's number. -1 as long
  // as there is no process.
  int event() const { return control_.get(); }
  std::uint64_t finished();

 private:
  void start();
  void lose();
  void reap();
  [[noreturn]] void work(int control) const;
  [[noreturn]] void stand_in_for_server(int control) const;
  bool is_waiting() const;

  base::UniqueFd device_;
  base::UniqueFd control_;
  pid_t process_ = -1;
  std::deque<std::uint64_t> begun_;  // directories of probes that have not ended
  std::uint64_t finished_ = 0;
};

}  // namespace runtime
