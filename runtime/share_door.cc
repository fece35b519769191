// SPDX-License-Identifier: Apache-2.0
#include "runtime/share_door.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <system_error>
#include <utility>

#include "base/syscalls.h"
#include "runtime/fd_message.h"
#include "runtime/pidfd.h"
#include "runtime/share.h"
#include "runtime/share_key.h"

namespace runtime {
namespace {

// Long enough for the next line of a script; short enough that nobody wonders what is running.
constexpr int kLingerMilliseconds = 1000;
// A start sends its key right after it has connected.
constexpr timeval kKeyWait{0, 200'000};
constexpr timespec kFullPause{0, 100'000'000};
constexpr char kEndOfState = '\n';

bool watch(int events, int fd, std::uint32_t what = EPOLLIN) {
  epoll_event event{};
  event.events = what;
  event.data.fd = fd;
  return ::epoll_ctl(events, EPOLL_CTL_ADD, fd, &event) == 0;
}

// Closing is not enough: a process that was forked just now may still have a copy, and an event of
// that would come with a number that means something else by then.
void unwatch(int events, int fd) { ::epoll_ctl(events, EPOLL_CTL_DEL, fd, nullptr); }

// Ranks are bound to a CPU each, so the first one's must not be the only one for who serves them
// all: our threads may run wherever a member may.
void run_where(pid_t member) {
  cpu_set_t own, all;
  if (::sched_getaffinity(0, sizeof own, &own) != 0 ||
      ::sched_getaffinity(member, sizeof all, &all) != 0)
    return;
  CPU_OR(&all, &all, &own);
  if (CPU_EQUAL(&all, &own) != 0) return;
  for (const std::string& thread : base::readable_names("/proc/self/task"))
    ::sched_setaffinity(std::atoi(thread.c_str()), sizeof all, &all);
}

}  // namespace

base::UniqueFd open_mount_table() {
  return base::UniqueFd(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
}

bool FinishedRoot::is_unchanged() const {
  // Has a priority event after each change of the mounts (proc_pid_mountinfo(5)).
  pollfd table{mount_table.get(), POLLPRI, 0};
  return ::poll(&table, 1, 0) == 0 && state_of(files) == state_of_files;
}

std::string state_of(std::span<const base::UniqueFd> files) {
  std::string state;
  for (const base::UniqueFd& file : files) {
    struct stat status {};
    ::fstat(file.get(), &status);
    state += numbers({static_cast<std::uint64_t>(status.st_size),
                      static_cast<std::uint64_t>(status.st_ctim.tv_sec),
                      static_cast<std::uint64_t>(status.st_ctim.tv_nsec)});
  }
  return state;
}

void send_root(int door, const FinishedRoot& root) {
  std::vector<int> fds = {root.mount_namespace.get(), root.mount_table.get()};
  for (const base::UniqueFd& file : root.files) fds.push_back(file.get());
  if (fds.size() <= kMaxMessageFds)
    send_message(door, root.state_of_files + kEndOfState + root.key, fds);
}

void ShareDoor::attend() {
  if (receive_namespaces()) serve_until_idle();
  listener_.socket.reset();  // whoever waits there starts a server of its own
  user_namespace_.reset();
  mount_namespace_.reset();
  drop_root();
}

bool ShareDoor::receive_namespaces() {
  std::optional<FdMessage> message = receive_message(control_.get(), 1);
  if (!message || message->fds.size() != 2 || !message->sender) return false;
  user_namespace_ = std::move(message->fds[0]);
  mount_namespace_ = std::move(message->fds[1]);
  self_ = open_process(::getpid());
  events_.reset(::epoll_create1(EPOLL_CLOEXEC));
  return self_ && events_ && watch(events_.get(), listener_.socket.get()) &&
         watch(events_.get(), control_.get()) && add_member(message->sender->pid);
}

// Or the news that there will be none.
void ShareDoor::receive_root() {
  std::optional<FdMessage> message = receive_message(control_.get(), kMaxShareRequest);
  unwatch(events_.get(), control_.get());
  control_.reset();
  if (!message || message->fds.size() < 2) return;
  const std::size_t end = message->text.find(kEndOfState);
  if (end == std::string::npos) return;
  std::vector<base::UniqueFd>& fds = message->fds;
  FinishedRoot root;
  root.state_of_files = message->text.substr(0, end);
  root.key = message->text.substr(end + 1);
  root.mount_namespace = std::move(fds[0]);
  root.mount_table = std::move(fds[1]);
  fds.erase(fds.begin(), fds.begin() + 2);
  root.files = std::move(fds);
  // Of its own: an event is told only once. What happened before is found by is_unchanged().
  mount_changes_ = open_mount_table();
  if (mount_changes_ && watch(events_.get(), mount_changes_.get(), EPOLLPRI))
    root_ = std::move(root);
}

// It holds on to all file systems that are bound in it, unmounted or not.
void ShareDoor::drop_root() {
  root_.reset();
  if (mount_changes_) unwatch(events_.get(), mount_changes_.get());
  mount_changes_.reset();
}

// Its descriptor becomes readable when the process ends.
bool ShareDoor::add_member(pid_t process) {
  base::UniqueFd member = open_process(process);
  if (!member || !watch(events_.get(), member.get())) return false;
  [[maybe_unused]] const int owned_by_events = member.release();
  ++members_;
  return true;
}

// The descriptors are worth nothing to who has no privilege in our own user namespace, so the user
// id is all that is asked for here; the other side has more to check.
void ShareDoor::admit_one() {
  const base::UniqueFd client(::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  // Each member costs a descriptor. Who waits in vain mounts for itself.
  if (!client && errno == EMFILE) ::nanosleep(&kFullPause, nullptr);
  ucred peer{};
  socklen_t size = sizeof peer;
  if (!client || ::getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      peer.uid != ::geteuid() || peer.pid <= 0)
    return;
  ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &kKeyWait, sizeof kKeyWait);
  const std::optional<FdMessage> request = receive_message(client.get(), kMaxShareRequest);
  const std::string_view text = request ? std::string_view(request->text) : "";
  const std::size_t end = text.find(kEndOfKey);
  if (text.substr(0, end) == listener_.key && end != text.npos && add_member(peer.pid)) {
    run_where(peer.pid);
    welcome(client.get(), text.substr(end + 1));
  } else {
    send_message(client.get(), kShareRefusal, {});
  }
}

void ShareDoor::welcome(int client, std::string_view root_key) {
  if (root_ && !root_->is_unchanged()) drop_root();
  const int self = self_.get(), user = user_namespace_.get(), mount = mount_namespace_.get();
  if (root_ && root_->key == root_key) {
    send_message(client, kShareWelcome, {self, user, mount, root_->mount_namespace.get()});
  } else {
    send_message(client, kShareWelcome, {self, user, mount});
  }
}

void ShareDoor::serve_until_idle() {
  for (;;) {
    epoll_event event{};
    const int count =
        ::epoll_wait(events_.get(), &event, 1, members_ == 0 ? kLingerMilliseconds : -1);
    if (count == 0 || (count < 0 && errno != EINTR)) return;
    if (count < 0) continue;
    if (event.data.fd == listener_.socket.get()) {
      admit_one();
    } else if (event.data.fd == control_.get()) {
      receive_root();
    } else if (event.data.fd == mount_changes_.get()) {
      drop_root();
    } else {
      unwatch(events_.get(), event.data.fd);
      ::close(event.data.fd);
      --members_;
    }
  }
}

}  // namespace runtime
