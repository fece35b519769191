// SPDX-License-Identifier: Apache-2.0
#include "runtime/share_door.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/fd_message.h"
#include "runtime/share.h"

namespace runtime {
namespace {

// Long enough for the next line of a script; short enough that nobody wonders what is running.
constexpr int kLingerMilliseconds = 1000;
// A start sends its key right after it has connected.
constexpr timeval kKeyWait{0, 200'000};

// Linux 5.3; close-on-exec by itself.
base::UniqueFd open_process(pid_t process) {
  return base::UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
}

}  // namespace

void ShareDoor::attend() {
  if (receive_namespaces()) serve_until_idle();
  listener_.socket.reset();  // whoever waits there starts a server of its own
  user_namespace_.reset();
  mount_namespace_.reset();
}

bool ShareDoor::receive_namespaces() {
  std::optional<FdMessage> message = receive_message(control_.get(), 1);
  control_.reset();
  if (!message || message->fds.size() != 2 || !message->sender) return false;
  user_namespace_ = std::move(message->fds[0]);
  mount_namespace_ = std::move(message->fds[1]);
  self_ = open_process(::getpid());
  events_.reset(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = listener_.socket.get();
  return self_ && events_ &&
         ::epoll_ctl(events_.get(), EPOLL_CTL_ADD, event.data.fd, &event) == 0 &&
         add_member(message->sender->pid);
}

// Its descriptor becomes readable when the process ends.
bool ShareDoor::add_member(pid_t process) {
  base::UniqueFd member = open_process(process);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = member.get();
  if (!member || ::epoll_ctl(events_.get(), EPOLL_CTL_ADD, member.get(), &event) != 0) return false;
  [[maybe_unused]] const int owned_by_events = member.release();
  ++members_;
  return true;
}

// The descriptors are worth nothing to who has no privilege in our own user namespace, so the user
// id is all that is asked for here; the other side has more to check.
void ShareDoor::admit_one() {
  const base::UniqueFd client(::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ucred peer{};
  socklen_t size = sizeof peer;
  if (!client || ::getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      peer.uid != ::geteuid() || peer.pid <= 0)
    return;
  ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &kKeyWait, sizeof kKeyWait);
  const std::optional<FdMessage> request = receive_message(client.get(), kMaxShareKey);
  const bool welcome = request && request->text == listener_.key && add_member(peer.pid);
  if (welcome) {
    send_message(client.get(), kShareWelcome,
                 {self_.get(), user_namespace_.get(), mount_namespace_.get()});
  } else {
    send_message(client.get(), kShareRefusal, {});
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
    } else {
      ::close(event.data.fd);
      --members_;
    }
  }
}

}  // namespace runtime
