// SPDX-License-Identifier: Apache-2.0
// Compresses blocks on several threads and places them in the order of submission, so that the
// image does not depend on the number of threads. The producer submits descriptions only: workers
// read, compress and write, and a lock is held just to hand over.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "sif/codec.h"
#include "sif/squashfs_reader.h"
#include "sif/squashfs_writer.h"
#include "sif/tree.h"

namespace sif {

struct FileRange {
  const Inode* file;
  std::uint64_t offset;
  std::uint32_t length;
};

struct BlockRequest {
  std::vector<FileRange> ranges;  // laid end to end: one of a data block, many of a fragment block
  std::uint64_t tag = 0;          // the caller's own
  bool zeros_are_hole = false;    // data blocks: all zeros is stored as size 0
  std::optional<Search> search = Search::thorough;  // nullopt: not to be compressed
  // Instead of ranges: a block of an image, taken as it is.
  const SquashfsReader* image = nullptr;
  StoredBlock stored{};
  bool is_of_tails = false;
};

class BlockPipeline {
 public:
  // `size_word` as the format has it: size with kBlockStoredBit, 0 for a hole.
  using Placed =
      std::function<void(std::uint64_t tag, std::uint64_t position, std::uint32_t size_word)>;

  // Blocks go to `fd` from `position` of the file system that starts at `offset`. `placed` is
  // called in order of submission, by one thread at a time.
  BlockPipeline(int fd, std::uint64_t offset, std::uint64_t position,
                const SquashfsOptions& options, WriteProgress& progress, Placed placed);
  BlockPipeline(const BlockPipeline&) = delete;
  BlockPipeline& operator=(const BlockPipeline&) = delete;
  // Drops what is not written yet.
  ~BlockPipeline();

  // Waits while the queue is full. Throws what any worker threw, and when cancelled.
  void submit(BlockRequest request);
  // Waits until all is written; gives the position behind the last block.
  std::uint64_t finish();

 private:
  using Buffer = std::unique_ptr<std::byte[]>;
  struct Slot {
    BlockRequest request;
    Buffer buffer;
    std::uint32_t size_word = 0;
    std::uint64_t position = 0;
    bool done = false;
  };

  void work();
  void work_until_closed(std::unique_lock<std::mutex>& lock);
  struct Workspace;  // of one worker
  void fill_and_compress(Slot& slot, Workspace& own);
  void take_stored(Slot& slot, Buffer& scratch);
  std::vector<Slot> place_finished(std::unique_lock<std::mutex>& lock);
  void write(const std::vector<Slot>& batch);
  void start_writeback(std::uint64_t written_end);
  Buffer take_buffer(std::unique_lock<std::mutex>& lock);
  void stop_and_join();   // drops what is not started
  void close_and_join();  // lets the workers finish

  const int fd_;
  const std::uint64_t offset_;
  const SquashfsOptions options_;
  WriteProgress& progress_;
  const Placed placed_;
  const std::size_t capacity_;
  std::atomic<std::uint64_t> writeback_end_;  // position

  std::mutex mutex_;  // guards all below
  std::condition_variable space_, work_;
  std::deque<Slot> slots_;   // in order of submission; the front is the next to be placed
  std::size_t started_ = 0;  // how many of slots_ a worker has taken
  std::uint64_t position_;
  std::vector<Buffer> spare_buffers_;
  bool closed_ = false;
  std::exception_ptr failure_;
  std::vector<std::thread> threads_;
};

// Throws the error of a conversion that was told to stop.
void throw_if_cancelled(const WriteProgress& progress);

}  // namespace sif
