// SPDX-License-Identifier: Apache-2.0
// Gives the kernel what a trace says of a mounted image, ahead of the program that will want it.
// A process of its own, within the mount's user namespace, which alone may use the mount, asks for
// names and for the first data; it ends with the trace, with the program, or with the file server
// that started it. More data, of files whose names are known by then, is stored by threads of the
// server: that costs less than requests, but a program that waits for its first pages gets them
// sooner from several threads at once.
#pragma once

#include <cstdint>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "runtime/access_trace.h"
#include "sif/squashfs_reader.h"

namespace runtime {

class Preloader {
 public:
  // Forks, so it is for the file server's process before it has threads. Without a process to
  // spare, begin() has no effect.
  explicit Preloader(const AccessTrace& trace);

  // `root` is the mount's directory, `program` the pidfd of who must live for this to go on. Gives
  // the pipe for PreloadedData; invalid when there is nothing for it to do.
  base::UniqueFd begin(int root, int user_namespace, int program);

 private:
  base::UniqueFd control_, known_reads_;
};

class PreloadedData {
 public:
  // As PageStore; the trace is borrowed as well. Without a thread to spare, nothing is stored.
  PreloadedData(const AccessTrace& trace, base::UniqueFd known_reads, int device_fd,
                const sif::SquashfsReader& reader, TraceRecorder* recorder);
  PreloadedData(const PreloadedData&) = delete;
  PreloadedData& operator=(const PreloadedData&) = delete;
  // Waits for the process of the names, which does not outlive the mount.
  ~PreloadedData();

 private:
  base::UniqueFd known_reads_;
  std::vector<std::thread> threads_;
};

inline constexpr std::uint32_t kRequestedReads = 48;  // of a trace

// The process's part: stops where the mount fails or `program` (a pidfd) has ended. Never waits for
// data. The numbers of reads beyond the first (std::uint32_t) go to the pipe `known_reads`.
void replay(const AccessTrace& trace, int root, int program, int known_reads);

}  // namespace runtime
