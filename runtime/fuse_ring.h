// SPDX-License-Identifier: Apache-2.0
// FUSE requests by io_uring (Linux 6.14 and later, where the administrator has set the parameter
// enable_uring of the module fuse): one system call answers a request and waits for the next, on
// the CPU that asked. The kernel keeps a queue for each CPU and goes over to them at the moment
// when all have a buffer registered; what it sent to the device before is answered there, and
// interrupts and the like always come there, so the device is served as well.
// Format: include/uapi/linux/fuse.h since protocol 7.42, and fs/fuse/dev_uring.c.
#pragma once

#include <thread>
#include <vector>

#include "runtime/fuse_responder.h"

namespace runtime {

class FuseRing {
 public:
  // Both are borrowed; the device is mounted and has answered FUSE_INIT. `threads`, two at least,
  // share the queues. Where this kernel or its administrator allows no io_uring, nothing happens.
  FuseRing(int device_fd, FuseResponder& responder, unsigned threads);
  // Whether no thread would serve more than one queue: while such a thread waits for the kernel,
  // no request waits for it alone.
  static bool has_a_queue_per_thread(unsigned threads);
  // Waits for the threads, which end with the mount.
  ~FuseRing();

 private:
  std::vector<std::thread> threads_;
};

}  // namespace runtime
