// SPDX-License-Identifier: Apache-2.0
#include "runtime/fuse_server.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <memory>

#include "base/cpu_count.h"
#include "runtime/fuse_protocol.h"

namespace runtime {
namespace {

// Also on one CPU: a thread that waits for a network file system must not hold up the others.
constexpr unsigned kMinThreads = 4;
constexpr unsigned kMaxThreads = 8;
// Going over to io_uring costs more than the few requests of a small program.
constexpr unsigned kRequestsBeforeRing = 256;

unsigned allowed_threads() {
  return std::clamp(base::affinity_cpu_count(), kMinThreads, kMaxThreads);
}

// All else is cheaper than waking another thread for it.
bool is_long_running(std::uint32_t opcode) { return opcode == FUSE_READ; }

std::unique_ptr<std::byte[]> make_request_buffer() {
  return std::make_unique_for_overwrite<std::byte[]>(kLongestRequest);
}

}  // namespace

FuseServer::FuseServer(int device_fd, const sif::SquashfsReader& reader, FuseOptions options,
                       std::span<const AddedPath> added, TraceRecorder* recorder)
    : device_fd_(device_fd),
      read_ahead_(device_fd, reader, recorder),
      responder_(reader, options, added, recorder, &read_ahead_),
      max_threads_(allowed_threads()) {}

void FuseServer::serve() {
  work(make_request_buffer().get());
  // The device fails for everyone at once, so the others are ending too; no thread adds others
  // any more once all have seen the end.
  for (std::size_t i = 0;; ++i) {
    std::thread thread;
    {
      const std::lock_guard lock(threads_mutex_);
      if (i == threads_.size()) return;
      thread = std::move(threads_[i]);
    }
    thread.join();
  }
}

void FuseServer::add_thread_if_busy() {
  if (idle_.load() > 0 || thread_count_.load() >= max_threads_) return;
  const std::lock_guard lock(threads_mutex_);
  if (idle_.load() > 0 || thread_count_.load() >= max_threads_) return;
  ++idle_;  // at once, else everyone adds threads until the first of them is awake
  try {
    threads_.emplace_back([this, buffer = make_request_buffer()] { work(buffer.get()); });
    ++thread_count_;
  } catch (const std::exception&) {
    --idle_;
    thread_count_ = max_threads_;  // a limit of processes or memory: serve with what there is
    read_ahead_.give_up();
  }
}

// Whoever starts this has counted the thread in idle_; it counts itself out and in again around
// each request, and out at its end.
void FuseServer::work(std::byte* buffer) {
  const std::span<std::byte> request(buffer, kLongestRequest);
  FuseReply reply;
  for (;;) {
    const ssize_t size = ::read(device_fd_, request.data(), request.size());
    if (size < 0) {
      // ENOENT: the request was interrupted before we took it.
      if (errno == EINTR || errno == EAGAIN || errno == ENOENT) continue;
      --idle_;
      return;
    }
    if (static_cast<std::size_t>(size) < sizeof(fuse_in_header)) continue;
    --idle_;
    fuse_in_header header;
    std::copy_n(request.data(), sizeof(header), reinterpret_cast<std::byte*>(&header));
    if (is_long_running(header.opcode)) add_thread_if_busy();
    const std::span<const std::byte> answer =
        responder_.answer(request.first(static_cast<std::size_t>(size)), reply);
    // Before the answer: its client may have the next request there while we are still writing.
    ++idle_;
    if (responder_.offers_io_uring() && ++requests_ == kRequestsBeforeRing) {
      if (!FuseRing::has_a_queue_per_thread(max_threads_)) read_ahead_.give_up();
      ring_.emplace(device_fd_, responder_, max_threads_);
    }
    if (answer.empty()) continue;
    // A failure concerns this request alone (ENOENT: its caller was killed); the next read tells
    // whether the mount is gone.
    [[maybe_unused]] const ssize_t written = ::write(device_fd_, answer.data(), answer.size());
  }
}

}  // namespace runtime
