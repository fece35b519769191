// SPDX-License-Identifier: Apache-2.0
#include "runtime/fuse_ring.h"

#include <liburing.h>
#include <linux/fuse.h>
#include <sched.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <system_error>
#include <utility>

#include "runtime/fuse_protocol.h"

namespace runtime {
namespace {

// What headers before protocol 7.42 lack.
constexpr std::uint32_t kRegister = 1, kCommitAndFetch = 2;
struct UringEntryInOut {
  std::uint64_t flags, commit_id;
  std::uint32_t payload_size, padding;
  std::uint64_t reserved;
};
struct UringRequestHeader {
  std::array<std::byte, 128> in_out, operation_in;
  UringEntryInOut entry;
};
struct UringCommand {
  std::uint64_t flags, commit_id;
  std::uint16_t queue;
  std::array<std::uint8_t, 6> padding;
};
struct LongSubmission {  // io_uring_sqe with IORING_SETUP_SQE128
  std::array<std::byte, offsetof(io_uring_sqe, cmd)> common;
  UringCommand command;
};
static_assert(sizeof(UringRequestHeader) == 288 && offsetof(LongSubmission, command) == 48);

// Empty where io_uring is missing or forbidden.
class Uring {
 public:
  explicit Uring(std::size_t entries) {
    io_uring_params parameters{};
    parameters.flags =
        IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    error_ = -::io_uring_queue_init_params(static_cast<unsigned>(entries), &ring_, &parameters);
  }
  ~Uring() {
    if (error_ == 0) ::io_uring_queue_exit(&ring_);
  }
  Uring(const Uring&) = delete;
  Uring& operator=(const Uring&) = delete;
  int error() const { return error_; }
  io_uring* get() { return &ring_; }

 private:
  io_uring ring_{};
  int error_ = 0;
};

// One for each CPU that the kernel may ever have.
unsigned queue_count() { return static_cast<unsigned>(::get_nprocs_conf()); }

// For each thread the queues that it serves. Every queue has two threads, else a program that reads
// ahead would wait for one block after the other; as far as the threads go round, those of the
// allowed CPUs share none, for the kernel does not see which thread is busy with another queue.
std::vector<std::vector<unsigned>> deal_queues(unsigned threads) {
  cpu_set_t allowed;
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) CPU_ZERO(&allowed);
  std::vector<std::vector<unsigned>> dealt(threads);
  std::size_t next = 0;
  for (const bool is_allowed : {true, false}) {
    for (unsigned queue = 0; queue < queue_count(); ++queue) {
      if ((CPU_ISSET(queue, &allowed) != 0) != is_allowed) continue;
      dealt[next % threads].push_back(queue);
      dealt[(next + threads / 2) % threads].push_back(queue);
      ++next;
    }
  }
  return dealt;
}

// The memory that the kernel puts one queue's request into, and takes the answer from.
struct Entry {
  UringRequestHeader header;
  fuse_out_header answer_header;  // where FuseReply has it: before the body
  std::array<std::byte, kRequestBytes> payload;
};

// As a read of the device gives it. What is too long for `memory` has no answer but "read-only".
std::span<const std::byte> assemble_request(const Entry& entry, std::span<std::byte> memory) {
  const auto start = parse<fuse_in_header>(entry.header.in_out);
  const std::size_t payload = entry.header.entry.payload_size;
  const std::size_t operation =
      std::min(start.len - sizeof start - payload, entry.header.operation_in.size());
  std::size_t used = 0;
  const auto append = [&](const void* from, std::size_t size) {
    size = std::min(size, memory.size() - used);
    std::memcpy(memory.data() + used, from, size);
    used += size;
  };
  append(&start, sizeof start);
  append(entry.header.operation_in.data(), operation);
  append(entry.payload.data(), payload);
  return memory.first(used);
}

// One thread's queues, an entry each, and its own ring: the entries' user data are their indices.
class Queues {
 public:
  Queues(int device_fd, FuseResponder& responder, const std::vector<unsigned>& queues)
      : device_fd_(device_fd),
        responder_(responder),
        queues_(queues),
        entries_(std::make_unique_for_overwrite<Entry[]>(queues.size())),
        ring_(queues.size()) {}

  void serve() {
    if (ring_.error() != 0) return;
    for (std::size_t i = 0; i < queues_.size(); ++i) enlist(i);
    std::size_t lost = 0;  // the kernel returns an entry with an error when the mount is gone
    while (lost < queues_.size()) {
      // Interrupted or short of memory: what is to be submitted stays where it is.
      ::io_uring_submit_and_wait(ring_.get(), 1);
      io_uring_cqe* done = nullptr;
      while (::io_uring_peek_cqe(ring_.get(), &done) == 0) {
        const std::size_t i = done->user_data;
        const bool is_request = done->res == 0;
        ::io_uring_cqe_seen(ring_.get(), done);
        if (is_request) {
          respond(i);
        } else {
          ++lost;
        }
        // Nobody's answer waits for the next request's.
        if (::io_uring_cq_ready(ring_.get()) > 0) ::io_uring_submit(ring_.get());
      }
    }
  }

 private:
  void enlist(std::size_t i) {
    Entry& entry = entries_[i];
    const std::array parts = {iovec{&entry.header, sizeof entry.header},
                              iovec{entry.payload.data(), entry.payload.size()}};
    command(i, kRegister, 0, parts);
    ::io_uring_submit(ring_.get());  // while `parts` lives
  }

  void respond(std::size_t i) {
    Entry& entry = entries_[i];
    FuseReply reply({reinterpret_cast<std::byte*>(&entry.answer_header),
                     sizeof entry.answer_header + entry.payload.size()});
    const std::uint64_t id = entry.header.entry.commit_id;
    if (responder_.answer(assemble_request(entry, request_), reply).empty())
      reply.finish(id, ENOSYS);
    std::memcpy(entry.header.in_out.data(), &entry.answer_header, sizeof entry.answer_header);
    entry.header.entry.payload_size = static_cast<std::uint32_t>(reply.size());
    command(i, kCommitAndFetch, id, {});
  }

  // Ready to be submitted; there is room for one command of each entry.
  void command(std::size_t i, std::uint32_t operation, std::uint64_t commit_id,
               std::span<const iovec> parts) {
    io_uring_sqe* const slot = ::io_uring_get_sqe(ring_.get());
    ::io_uring_prep_rw(IORING_OP_URING_CMD, slot, device_fd_, parts.data(),
                       static_cast<unsigned>(parts.size()), operation);
    slot->user_data = i;
    UringCommand command{};
    command.commit_id = commit_id;
    command.queue = static_cast<std::uint16_t>(queues_[i]);
    reinterpret_cast<LongSubmission*>(slot)->command = command;
  }

  const int device_fd_;
  FuseResponder& responder_;
  const std::vector<unsigned>& queues_;
  const std::unique_ptr<Entry[]> entries_;
  Uring ring_;
  std::array<std::byte, kLongestRequest> request_;
};

}  // namespace

FuseRing::FuseRing(int device_fd, FuseResponder& responder, unsigned threads) {
  try {
    for (std::vector<unsigned>& queues : deal_queues(threads))
      threads_.emplace_back([device_fd, &responder, queues = std::move(queues)] {
        try {
          Queues(device_fd, responder, queues).serve();
        } catch (const std::exception&) {
          // No memory: as below.
        }
      });
  } catch (const std::system_error&) {
    // A process limit. Without a buffer for every queue the kernel goes on using the device.
  }
}

bool FuseRing::has_a_queue_per_thread(unsigned threads) { return 2 * queue_count() <= threads; }

FuseRing::~FuseRing() {
  for (std::thread& thread : threads_) thread.join();
}

}  // namespace runtime
