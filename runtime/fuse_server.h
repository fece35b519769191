// SPDX-License-Identifier: Apache-2.0
// Moves FUSE requests between the device and the responder, on as many threads as there is work
// for. The calling process must be single-threaded until serve() runs.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "runtime/fuse_responder.h"
#include "runtime/fuse_ring.h"

namespace runtime {

class FuseServer {
 public:
  // `device_fd`: /dev/fuse, already mounted; borrowed.
  FuseServer(int device_fd, const sif::SquashfsReader& reader, FuseOptions options,
             std::span<const AddedPath> added = {}, TraceRecorder* recorder = nullptr);

  // Serves until the mount is gone (the device says ENODEV) or the device fails.
  void serve();

 private:
  void work(std::byte* buffer);
  void add_thread_if_busy();

  const int device_fd_;
  ReadAhead read_ahead_;
  FuseResponder responder_;
  const unsigned max_threads_;
  std::atomic<unsigned> idle_ = 1;  // threads that will take the next request; serve()'s own first
  std::mutex threads_mutex_;
  std::vector<std::thread> threads_;
  std::atomic<unsigned> thread_count_ = 1;
  std::atomic<unsigned> requests_ = 0;  // counted where there is io_uring only
  std::optional<FuseRing> ring_;        // last: its threads use the others
};

}  // namespace runtime
