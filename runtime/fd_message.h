// SPDX-License-Identifier: Apache-2.0
// Messages over local sockets that carry descriptors (unix(7), SCM_RIGHTS) and, where the receiver
// asked for it, who sent them as the kernel saw it at that moment (SCM_CREDENTIALS).
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace runtime {

inline constexpr std::size_t kMaxMessageFds = 4;

struct FdMessage {
  std::string text;
  std::vector<base::UniqueFd> fds;  // close-on-exec
  std::optional<ucred> sender;      // only on sockets with want_senders()
};

// A connected pair that keeps message boundaries.
struct SocketPair {
  base::UniqueFd first, second;
};
SocketPair make_socket_pair();

// From now on messages received there tell their sender.
void want_senders(int socket);

// False if the other end is gone or does not listen.
bool send_message(int socket, std::string_view text, std::span<const int> fds);
bool send_message(int socket, std::string_view text, std::initializer_list<int> fds);

// nullopt at the end of the connection, after the socket's time limit, and for a message with more
// than `limit` bytes or kMaxMessageFds descriptors.
std::optional<FdMessage> receive_message(int socket, std::size_t limit);

}  // namespace runtime
