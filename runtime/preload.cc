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
#include <string>
#include <vector>

#include "base/error.h"
#include "base/syscalls.h"
#include "runtime/fd_message.h"
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

class Replay {
 public:
  Replay(const AccessTrace& trace, int root) : trace_(trace), root_(root) {
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
  bool perform(std::size_t number) {
    switch (trace_[number].kind) {
      case TraceEntry::Kind::lookup:
        // Also for a name that is not there: the kernel remembers absence.
        return works(open_inside(root_, paths_[number], O_PATH));
      case TraceEntry::Kind::link:
        return read_link(paths_[number]);
      case TraceEntry::Kind::list:
        return list(paths_[number]);
      case TraceEntry::Kind::read:
        return read(trace_[number]);
    }
    return true;
  }

 private:
  // ENOSYS: a kernel before 5.6, on which nothing of this is done.
  static bool works(const base::UniqueFd& opened) {
    return opened || (errno != ENOTCONN && errno != ENOSYS && errno != ECONNABORTED);
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

  // Does not wait for the data.
  bool read(const TraceEntry& entry) {
    if (entry.node != file_node_ || !file_) {
      file_ = open_inside(root_, entry.node == kTraceRoot ? "." : paths_[entry.node],
                          O_RDONLY | O_NONBLOCK | O_NOCTTY);
      file_node_ = entry.node;
    }
    if (file_) ::readahead(file_.get(), static_cast<off64_t>(entry.offset), entry.size);
    return works(file_);
  }

  const AccessTrace& trace_;
  const int root_;
  std::vector<std::string> paths_;  // that the entries are about
  base::UniqueFd file_;             // of the read before
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

[[noreturn]] void run(const AccessTrace& trace, base::UniqueFd control) {
  try {
    ::prctl(PR_SET_NAME, "sifrun-preload", 0, 0, 0);
    base::close_descriptors(STDERR_FILENO + 1, static_cast<unsigned>(control.get()) - 1);
    base::close_descriptors(static_cast<unsigned>(control.get()) + 1);
    if (const auto start = receive_message(control.get(), 1); start && start->fds.size() == 3) {
      enter_bare(start->fds[1].get());
      replay(trace, start->fds[0].get(), start->fds[2].get());
    }
  } catch (const std::exception&) {
    // The program finds everything without us.
  }
  ::_exit(0);
}

}  // namespace

void replay(const AccessTrace& trace, int root, int program) {
  Replay replay(trace, root);
  // What comes before the first read is the launcher's own, and it is at that meanwhile.
  const auto first = std::ranges::find(trace, TraceEntry::Kind::read, &TraceEntry::kind);
  for (auto i = static_cast<std::size_t>(first - trace.begin()); i < trace.size(); ++i) {
    if (has_ended(program) || !replay.perform(i)) return;
  }
}

Preloader::Preloader(const AccessTrace& trace) {
  SocketPair pair = make_socket_pair();
  ::signal(SIGCHLD, SIG_IGN);  // nobody will wait for it
  const pid_t child = ::fork();
  if (child < 0) return;
  if (child == 0) run(trace, std::move(pair.second));
  control_ = std::move(pair.first);
}

void Preloader::begin(int root, int user_namespace, int program) {
  if (control_) send_message(control_.get(), "!", {root, user_namespace, program});
  control_.reset();
}

}  // namespace runtime
