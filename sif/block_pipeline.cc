// SPDX-License-Identifier: Apache-2.0
#include "sif/block_pipeline.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/syscalls.h"
#include "sif/file_content.h"

namespace sif {
namespace {

constexpr std::size_t kSlotsPerWorker = 16;
constexpr std::size_t kMaxQueuedBytes = 128 << 20;
constexpr std::uint64_t kWritebackBytes = 8 << 20;

std::size_t queue_capacity(const SquashfsOptions& options) {
  const std::size_t workers = options.threads;
  return std::max(2 * workers,
                  std::min(kSlotsPerWorker * workers, kMaxQueuedBytes / options.block_size));
}

// A limit of the caller's (`ulimit -v`) counts what threads reserve for stacks and heaps.
unsigned thread_count(const SquashfsOptions& options) {
  constexpr rlim_t kSpace = 64 << 20;  // of one
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return options.threads;
  return static_cast<unsigned>(std::clamp<rlim_t>(limit.rlim_cur / kSpace, 1, options.threads));
}

std::size_t total_length(const BlockRequest& request) {
  std::size_t length = 0;
  for (const FileRange& range : request.ranges) length += range.length;
  return length;
}

}  // namespace

struct BlockPipeline::Workspace {
  explicit Workspace(const SquashfsOptions& options)
      : scratch(std::make_unique_for_overwrite<std::byte[]>(options.block_size)),
        compressor(make_compressor(options.codec, options.level, options.block_size)) {}

  Buffer scratch;
  std::unique_ptr<Compressor> compressor;
};

void throw_if_cancelled(const WriteProgress& progress) {
  if (progress.cancelled.load(std::memory_order_relaxed)) throw base::error("cancelled");
}

BlockPipeline::BlockPipeline(int fd, std::uint64_t offset, std::uint64_t position,
                             const SquashfsOptions& options, WriteProgress& progress, Placed placed)
    : fd_(fd),
      offset_(offset),
      options_(options),
      progress_(progress),
      placed_(std::move(placed)),
      capacity_(queue_capacity(options)),
      writeback_end_(position),
      position_(position) {
  try {
    const unsigned count = thread_count(options);
    for (unsigned i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error& error) {
    if (!threads_.empty()) return;  // limits of the caller's: fewer do as well
    throw base::Error(base::cat("cannot start a thread: ", error.code().message()),
                      error.code().value());
  }
}

BlockPipeline::~BlockPipeline() { stop_and_join(); }

void BlockPipeline::stop_and_join() {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_ && !slots_.empty()) failure_ = std::make_exception_ptr(base::error("given up"));
  }
  close_and_join();
}

void BlockPipeline::close_and_join() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void BlockPipeline::submit(BlockRequest request) {
  throw_if_cancelled(progress_);
  {
    std::unique_lock lock(mutex_);
    // Cancelling reaches this wait as the failure of the worker that notices it.
    space_.wait(lock, [this] { return slots_.size() < capacity_ || failure_; });
    if (failure_) std::rethrow_exception(failure_);
    slots_.emplace_back().request = std::move(request);
  }
  work_.notify_one();
}

std::uint64_t BlockPipeline::finish() {
  close_and_join();
  if (failure_) std::rethrow_exception(failure_);
  return position_;
}

void BlockPipeline::work() {
  std::unique_lock lock(mutex_, std::defer_lock);
  try {
    work_until_closed(lock);
  } catch (...) {
    if (!lock.owns_lock()) lock.lock();
    if (!failure_) failure_ = std::current_exception();
    lock.unlock();
    space_.notify_all();
    work_.notify_all();
  }
}

void BlockPipeline::work_until_closed(std::unique_lock<std::mutex>& lock) {
  Workspace own(options_);
  lock.lock();
  for (;;) {
    work_.wait(lock, [this] { return failure_ || started_ < slots_.size() || closed_; });
    if (failure_ || started_ == slots_.size()) return;
    Slot& slot = slots_[started_++];  // stays in place: a deque only grows and shrinks at its ends
    slot.buffer = take_buffer(lock);
    lock.unlock();

    throw_if_cancelled(progress_);
    fill_and_compress(slot, own);

    lock.lock();
    slot.done = true;
    std::vector<Slot> batch = place_finished(lock);
    if (batch.empty()) continue;
    lock.unlock();
    space_.notify_one();
    write(batch);
    lock.lock();
    for (Slot& written : batch) spare_buffers_.push_back(std::move(written.buffer));
  }
}

void BlockPipeline::fill_and_compress(Slot& slot, Workspace& own) {
  if (slot.request.image != nullptr) return take_stored(slot, own.scratch);
  const std::size_t size = total_length(slot.request);
  const std::span data(slot.buffer.get(), size);
  std::size_t filled = 0;
  for (const FileRange& range : slot.request.ranges) {
    read_content(*range.file, range.offset, data.subspan(filled, range.length));
    filled += range.length;
  }
  const auto compressed = [&]() -> std::size_t {
    if (!slot.request.search) return 0;
    return own.compressor->compress(data, std::span(own.scratch.get(), size), *slot.request.search);
  };
  if (slot.request.zeros_are_hole && all_zeros(data)) {
    slot.size_word = 0;
  } else if (const std::size_t packed = compressed(); packed != 0) {
    slot.size_word = static_cast<std::uint32_t>(packed);
    std::swap(slot.buffer, own.scratch);
  } else {
    slot.size_word = static_cast<std::uint32_t>(size) | kBlockStoredBit;
  }
  progress_.bytes_done.fetch_add(size, std::memory_order_relaxed);
}

void BlockPipeline::take_stored(Slot& slot, Buffer& scratch) {
  const BlockRequest& request = slot.request;
  request.image->copy_block(request.stored, request.is_of_tails,
                            std::span(slot.buffer.get(), options_.block_size),
                            std::span(scratch.get(), options_.block_size));
  slot.size_word = request.stored.size_word;
  if (!request.is_of_tails)
    progress_.bytes_done.fetch_add(request.stored.length, std::memory_order_relaxed);
}

// Whoever completes the head of the order places all that is finished behind it.
std::vector<BlockPipeline::Slot> BlockPipeline::place_finished(std::unique_lock<std::mutex>&) {
  std::vector<Slot> batch;
  while (!slots_.empty() && slots_.front().done) {
    Slot& slot = slots_.front();
    slot.position = position_;
    position_ += slot.size_word & ~kBlockStoredBit;
    placed_(slot.request.tag, slot.position, slot.size_word);
    batch.push_back(std::move(slot));
    slots_.pop_front();
    --started_;
  }
  return batch;
}

void BlockPipeline::write(const std::vector<Slot>& batch) {
  for (const Slot& slot : batch) {
    const std::span data(slot.buffer.get(), slot.size_word & ~kBlockStoredBit);
    base::pwrite_all(fd_, data, offset_ + slot.position, "the image");
  }
  start_writeback(batch.back().position + (batch.back().size_word & ~kBlockStoredBit));
}

// The image will be waited for with fsync(2): the disk may as well begin while we compress.
void BlockPipeline::start_writeback(std::uint64_t written_end) {
  const std::uint64_t begun = writeback_end_;
  if (written_end < begun + kWritebackBytes) return;
  writeback_end_ = written_end;
  ::sync_file_range(fd_, static_cast<off64_t>(offset_ + begun),
                    static_cast<off64_t>(written_end - begun), SYNC_FILE_RANGE_WRITE);
}

BlockPipeline::Buffer BlockPipeline::take_buffer(std::unique_lock<std::mutex>&) {
  if (spare_buffers_.empty())
    return std::make_unique_for_overwrite<std::byte[]>(options_.block_size);
  Buffer buffer = std::move(spare_buffers_.back());
  spare_buffers_.pop_back();
  return buffer;
}

}  // namespace sif
