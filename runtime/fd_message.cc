// SPDX-License-Identifier: Apache-2.0
#include "runtime/fd_message.h"

#include <array>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace runtime {

SocketPair make_socket_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw base::errno_error(errno, "cannot make a socket pair");
  return {base::UniqueFd(ends[0]), base::UniqueFd(ends[1])};
}

void want_senders(int socket) {
  const int on = 1;
  if (::setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0)
    throw base::errno_error(errno, "cannot ask a socket for its senders");
}

bool send_message(int socket, std::string_view text, std::initializer_list<int> fds) {
  return send_message(socket, text, std::span(fds.begin(), fds.size()));
}

bool send_message(int socket, std::string_view text, std::span<const int> fds) {
  iovec part{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxMessageFds * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const std::size_t size = fds.size() * sizeof(int);
  if (size != 0) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(header), fds.data(), size);
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(text.size());
}

std::optional<FdMessage> receive_message(int socket, std::size_t limit) {
  FdMessage result;
  result.text.resize(limit);
  iovec part{result.text.data(), limit};
  alignas(cmsghdr)
      std::array<char, CMSG_SPACE(kMaxMessageFds * sizeof(int)) + CMSG_SPACE(sizeof(ucred))>
          control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t size = 0;
  do {
    size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return std::nullopt;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET) continue;
    if (header->cmsg_type == SCM_CREDENTIALS) {
      std::memcpy(&result.sender.emplace(), CMSG_DATA(header), sizeof(ucred));
    } else if (header->cmsg_type == SCM_RIGHTS) {
      for (std::size_t at = 0; at + sizeof(int) <= header->cmsg_len - CMSG_LEN(0);
           at += sizeof(int)) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(header) + at, sizeof fd);
        result.fds.emplace_back(fd);
      }
    }
  }
  // An empty message is never sent: size 0 is the end of the connection.
  if (size == 0 || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return std::nullopt;
  result.text.resize(static_cast<std::size_t>(size));
  return result;
}

}  // namespace runtime
