// SPDX-License-Identifier: Apache-2.0
#include "runtime/preload.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "base/cpu_count.h"
#include "base/error.h"
#include "base/syscalls.h"
#include "runtime/fd_message.h"
#include "runtime/fuse_protocol.h"
#include "runtime/page_store.h"
#include "runtime/pidfd.h"
#include "runtime/server_process.h"

namespace runtime {
namespace {

// Below the root and nowhere else, whatever the image or the trace says.
base::UniqueFd open_inside(int root, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  return base::UniqueFd(
      static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
}

constexpr unsigned kMaxStoringThreads = 4;
constexpr std::uint64_t kLongestSlice = 100'000'000;  // nanoseconds that the kernel takes

// struct sched_attr of sched_setattr(2) in its first version, which the C library does not have.
struct SchedulingAttributes {
  std::uint32_t size = sizeof(SchedulingAttributes);
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0, deadline = 0, period = 0;
};

class Replay {
 public:
  Replay(const AccessTrace& trace, int root, int known_reads)
      : trace_(trace), root_(root), known_reads_(known_reads), is_known_(trace.size()) {
    paths_.reserve(trace.size());
    for (const TraceEntry& entry : trace) {
      const bool is_root = entry.node == kTraceRoot;
      const std::string& node = is_root ? std::string(".") : paths_[entry.node];
      if (entry.kind != TraceEntry::Kind::lookup) {
        paths_.push_back(node);
      } else {
        paths_.push_back(is_root ? entry.name : node + "/" + entry.name);
      }
    }
  }

  // False when the mount answers no more.
  bool perform(std::uint32_t number) {
    switch (trace_[number].kind) {
      case TraceEntry::Kind::lookup:
        return look_up(number);
      case TraceEntry::Kind::link:
        return read_link(paths_[number]);
      case TraceEntry::Kind::list:
        return list(paths_[number]);
      case TraceEntry::Kind::read:
        return read(number);
    }
    return true;
  }

 private:
  // ENOSYS: a kernel before 5.6, on which nothing of this is done.
  static bool works(const base::UniqueFd& opened) {
    return opened || (errno != ENOTCONN && errno != ENOSYS && errno != ECONNABORTED);
  }

  // Also a name that is not there: the kernel remembers absence.
  bool look_up(std::uint32_t number) {
    const base::UniqueFd found = open_inside(root_, paths_[number], O_PATH);
    is_known_[number] = static_cast<bool>(found);
    return works(found);
  }

  bool read_link(const std::string& path) {
    const base::UniqueFd link = open_inside(root_, path, O_PATH);
    if (!link) return works(link);
    std::array<char, PATH_MAX> target;
    return ::readlinkat(link.get(), "", target.data(), target.size()) >= 0 || errno != ENOTCONN;
  }

  bool list(const std::string& path) {
    const base::UniqueFd directory = open_inside(root_, path, O_RDONLY | O_DIRECTORY);
    if (!directory) return works(directory);
    std::array<std::byte, 32768> entries;
    while (::syscall(SYS_getdents64, directory.get(), entries.data(), entries.size()) > 0) {
    }
    return true;
  }

  bool read(std::uint32_t number) {
    const std::uint32_t file = trace_[number].node;
    if (file == kTraceRoot) return true;
    if (reads_++ < kRequestedReads) return request(trace_[number]);
    if (!is_known_[file] && !look_up(file)) return false;
    return !is_known_[file] || announce(number);
  }

  // Not told: what does not fit, because who stores has given up.
  bool announce(std::uint32_t number) const {
    return ::write(known_reads_, &number, sizeof number) > 0 || errno == EAGAIN;
  }

  bool request(const TraceEntry& entry) {
    if (entry.node != file_node_ || !file_) {
      file_ = open_inside(root_, paths_[entry.node], O_RDONLY | O_NONBLOCK | O_NOCTTY);
      file_node_ = entry.node;
    }
    if (file_) ::readahead(file_.get(), static_cast<off64_t>(entry.offset), entry.size);
    return works(file_);
  }

  const AccessTrace& trace_;
  const int root_, known_reads_;
  std::vector<std::string> paths_;  // that the entries are about
  std::vector<bool> is_known_;      // lookups: that was found
  std::uint32_t reads_ = 0;
  base::UniqueFd file_;  // of the request before
  std::uint32_t file_node_ = kTraceRoot;
};

// Within the namespace we would have all capabilities; what is opened needs none.
void enter_bare(int user_namespace) {
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // programs of the container are of the same user there
  if (::setns(user_namespace, CLONE_NEWUSER) != 0)
    throw base::errno_error(errno, "cannot enter the image's user namespace");
  give_up_capabilities();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

[[noreturn]] void run(const AccessTrace& trace, base::UniqueFd control,
                      base::UniqueFd known_reads) {
  try {
    ::prctl(PR_SET_NAME, "sifrun-preload", 0, 0, 0);
    base::close_descriptors_but({control.get(), known_reads.get()});
    ::fcntl(known_reads.get(), F_SETFL, O_NONBLOCK);
    if (const auto start = receive_message(control.get(), 1); start && start->fds.size() == 3) {
      enter_bare(start->fds[1].get());
      replay(trace, start->fds[0].get(), start->fds[2].get(), known_reads.get());
    }
  } catch (const std::exception&) {
    // The program finds everything without us.
  }
  ::_exit(0);
}

// Half of the CPUs are left to the program, which wants data in about this order.
unsigned storing_threads() {
  return std::clamp(base::affinity_cpu_count() / 2, 1U, kMaxStoringThreads);
}

// Whoever has a shorter time slice preempts us when it wakes up: the program, and who answers its
// requests (EEVDF scheduler, Linux 6.12; without effect before).
void let_others_go_first() {
  SchedulingAttributes attributes;
  if (::syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
  attributes.runtime = kLongestSlice;
  ::syscall(SYS_sched_setattr, 0, &attributes, 0);
}

void store_known(const AccessTrace& trace, int known_reads, PageStore store) {
  std::array<std::uint32_t, 4> numbers;
  for (;;) {
    const ssize_t size = ::read(known_reads, numbers.data(), sizeof numbers);
    if (size <= 0) return;
    for (std::size_t i = 0; i < static_cast<std::size_t>(size) / sizeof numbers[0]; ++i) {
      const TraceEntry& entry = trace[numbers[i]];
      const std::uint64_t id = trace[entry.node].id;
      // Of another image, or the kernel has forgotten the file.
      if (id < kFirstNodeId) continue;
      if (!store.put(id - kFirstNodeId, entry.offset, entry.size) && errno != ENOENT) return;
    }
  }
}

}  // namespace

void replay(const AccessTrace& trace, int root, int program, int known_reads) {
  Replay replay(trace, root, known_reads);
  // What comes before the first read is the launcher's own, and it is at that meanwhile.
  const auto first = std::ranges::find(trace, TraceEntry::Kind::read, &TraceEntry::kind);
  for (auto i = static_cast<std::uint32_t>(first - trace.begin()); i < trace.size(); ++i) {
    if (has_ended(program) || !replay.perform(i)) return;
  }
}

Preloader::Preloader(const AccessTrace& trace) {
  SocketPair pair = make_socket_pair();
  base::Pipe pipe;
  if (std::ranges::count(trace, TraceEntry::Kind::read, &TraceEntry::kind) > kRequestedReads)
    pipe = base::make_pipe();
  ::signal(SIGCHLD, SIG_IGN);  // nobody will wait for it
  const pid_t child = ::fork();
  if (child == 0) run(trace, std::move(pair.second), std::move(pipe.write_end));
  if (child > 0) control_ = std::move(pair.first);
  known_reads_ = std::move(pipe.read_end);
}

base::UniqueFd Preloader::begin(int root, int user_namespace, int program) {
  if (control_) send_message(control_.get(), "!", {root, user_namespace, program});
  control_.reset();
  return std::move(known_reads_);
}

PreloadedData::PreloadedData(const AccessTrace& trace, base::UniqueFd known_reads, int device_fd,
                             const sif::SquashfsReader& reader, TraceRecorder* recorder)
    : known_reads_(std::move(known_reads)) {
  try {
    for (unsigned i = storing_threads(); i > 0; --i) {
      threads_.emplace_back([&trace, fd = known_reads_.get(), device_fd, &reader, recorder] {
        try {
          let_others_go_first();
          store_known(trace, fd, PageStore(device_fd, reader, recorder));
        } catch (const std::exception&) {
          // Who reads what is corrupt is told.
        }
      });
    }
  } catch (const std::system_error&) {
    // Fewer will do.
  }
}

PreloadedData::~PreloadedData() {
  for (std::thread& thread : threads_) thread.join();
}

}  // namespace runtime
