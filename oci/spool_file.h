// SPDX-License-Identifier: Apache-2.0
// A stream that cannot be read twice, written to a nameless file; another thread may read behind
// the writing. All members but read() are for the writing thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "base/unique_fd.h"
#include "oci/decompress.h"
#include "oci/digest.h"
#include "oci/file_source.h"

namespace oci {

class SpoolFile {
 public:
  explicit SpoolFile(std::string folder);

  void append(std::span<const std::byte> data);
  // All of the stream, hashing it if `hash` is given.
  void append_stream(const ReadStream& stream, Sha256* hash = nullptr);
  // All of the pipe, without copying it here, counting in `read_done`. Stops early, having lost
  // nothing, where the file system cannot do that or `pipe` is none.
  void append_pipe(int pipe, std::atomic<std::uint64_t>& read_done);
  // No more will be appended.
  void end();

  // Fills `out`, waiting for what is still to come, and gives the count; less than asked for only
  // at the end.
  std::size_t read(std::uint64_t offset, std::span<std::byte> out) const;

  // What has been appended so far.
  FileSource source(std::string name) const;

 private:
  std::string place() const { return "a temporary file in " + folder_; }
  void grow(std::uint64_t count);

  const std::string folder_;
  const std::shared_ptr<const base::UniqueFd> file_;
  mutable std::mutex mutex_;
  mutable std::condition_variable grown_;
  std::uint64_t size_ = 0;
  bool has_ended_ = false;
};

}  // namespace oci
