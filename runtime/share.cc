// SPDX-License-Identifier: Apache-2.0
#include "runtime/share.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/fd_message.h"
#include "runtime/mount_api.h"
#include "runtime/pidfd.h"

namespace runtime {
namespace {

using Clock = std::chrono::steady_clock;

// A holder that takes longer to start is on a file system that hangs, or stopped.
constexpr timeval kPatience{5, 0};
constexpr auto kPatienceInAll = std::chrono::seconds(10);
// Between bind(2) and listen(2) of another start.
constexpr auto kPause = std::chrono::microseconds(200);
constexpr int kBacklog = 4096;

struct Address {
  sockaddr_un name{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&name); }
};

// The whole key is compared by the holder, so the name may be a mere hash.
Address address_of(const std::string& key) {
  const XXH128_hash_t hash = XXH3_128bits(key.data(), key.size());
  const std::string name = "sifrun-" + base::hex(&hash, sizeof hash);
  Address address;
  address.name.sun_family = AF_UNIX;
  std::copy(name.begin(), name.end(), address.name.sun_path + 1);  // abstract: after a NUL
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return address;
}

base::UniqueFd make_socket() {
  base::UniqueFd made(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!made) throw base::errno_error(errno, "cannot make a socket");
  return made;
}

// "Pid:" of the process that a pidfd refers to; 0 if it has none here.
pid_t process_of(int pidfd) {
  const std::string text =
      base::find_small_file("/proc/self/fdinfo/" + std::to_string(pidfd)).value_or("");
  const std::size_t at = text.find("\nPid:\t");
  return at == std::string::npos ? 0 : std::atoi(text.c_str() + at + 6);
}

// The sender must be the caller's equal: of its user, and in its very namespaces, where no program
// that runs inside a container can be. The kernel told its number; that it is still the same
// process, and not a later one of that number, shows by its pidfd, which existed when it sent it.
bool is_trustworthy(const FdMessage& answer) {
  if (!answer.sender || answer.sender->uid != ::geteuid() || answer.fds.size() < 3) return false;
  const int pidfd = answer.fds[0].get();
  const pid_t sender = answer.sender->pid;
  if (sender <= 0 || process_of(pidfd) != sender) return false;
  const std::string process = "/proc/" + std::to_string(sender);
  return base::is_same_file(process + "/ns/user", "/proc/self/ns/user") &&
         base::is_same_file(process + "/ns/mnt", "/proc/self/ns/mnt") && !has_ended(pidfd);
}

bool is_of_our_user(int socket) {
  ucred listener{};
  socklen_t size = sizeof listener;
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &listener, &size) == 0 &&
         listener.uid == ::geteuid();
}

enum class Outcome { joined, doubtful, gone };

Outcome ask(int socket, const std::string& request, Share& share) {
  if (!send_message(socket, request, {})) return Outcome::gone;
  errno = 0;
  std::optional<FdMessage> answer = receive_message(socket, kShareWelcome.size());
  // The end of the connection: its listener died, or closed the door at this moment.
  if (!answer) return errno == EAGAIN ? Outcome::doubtful : Outcome::gone;
  if (answer->text != kShareWelcome || !is_trustworthy(*answer)) return Outcome::doubtful;
  share.joined = SharedNamespaces{std::move(answer->fds[1]), std::move(answer->fds[2]), {}};
  if (answer->fds.size() > 3) share.joined->root = std::move(answer->fds[3]);
  return Outcome::joined;
}

// True when the search is over, with or without success.
bool try_once(const Address& address, const std::string& key, const std::string& root_key,
              Share& share) {
  const base::UniqueFd client = make_socket();
  ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  ::setsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  want_senders(client.get());
  if (::connect(client.get(), address.get(), address.size) == 0) {
    // Another user's socket would let us wait.
    return !is_of_our_user(client.get()) ||
           ask(client.get(), key + kEndOfKey + root_key, share) != Outcome::gone;
  }
  if (errno != ECONNREFUSED) return true;
  base::UniqueFd listener = make_socket();
  if (::bind(listener.get(), address.get(), address.size) == 0 &&
      ::listen(listener.get(), kBacklog) == 0) {
    share.listener = {std::move(listener), key};
    return true;
  }
  if (errno != EADDRINUSE) return true;
  std::this_thread::sleep_for(kPause);
  return false;
}

}  // namespace

Share find_share(const std::string& key, const std::string& root_key) {
  Share share;
  // What is handed over are detached mounts.
  if (key.size() > kMaxShareKey || !has_mount_setattr()) return share;
  const Address address = address_of(key);
  const Clock::time_point end = Clock::now() + kPatienceInAll;
  try {
    while (!try_once(address, key, root_key, share) && Clock::now() < end) {
    }
  } catch (const base::Error& error) {
    base::log_debug("no sharing: ", error.what());
  }
  if (!share.joined && !share.listener)
    base::log_verbose("the image's mount is not shared: its holder cannot be trusted or is stuck");
  return share;
}

}  // namespace runtime
