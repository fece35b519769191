// SPDX-License-Identifier: Apache-2.0
#include "net/socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nss.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "net/channel.h"

namespace net {
namespace {

constexpr std::size_t kMaxProxyHead = 8 << 10;

// recv and send then fail with EAGAIN.
void limit_silence(int fd) {
  const timeval limit{.tv_sec = kSilenceLimit.count(), .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

// A machine that is gone, or the way to it, makes recv and send fail long before that.
void notice_death(int fd) {
  constexpr int kProbes = 3;
  const int yes = 1, seconds = static_cast<int>(kDeadLimit.count()) / (kProbes + 1);
  const int patience = static_cast<int>(std::chrono::milliseconds(kDeadLimit).count());
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &kProbes, sizeof kProbes);
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience, sizeof patience);
}

// 0 or the errno of the failure.
int connect_within_limit(int fd, const sockaddr* address, socklen_t size) {
  if (::connect(fd, address, size) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  pollfd waiting{fd, POLLOUT, 0};
  const std::chrono::milliseconds limit = kConnectLimit;
  int ready = 0;
  while ((ready = ::poll(&waiting, 1, static_cast<int>(limit.count()))) < 0 && errno == EINTR) {
  }
  if (ready < 0) return errno;
  if (ready == 0) return ETIMEDOUT;
  int problem = 0;
  socklen_t length = sizeof problem;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &length) == 0 ? problem : errno;
}

struct Addresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

// A static program cannot load the modules that nsswitch.conf may name (they are made for the
// host's own C library); these two are within it.
std::unique_ptr<addrinfo, Addresses> look_up(const std::string& host, std::uint16_t port) {
  ::__nss_configure_lookup("hosts", "files dns");
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int problem = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &found);
  if (problem == EAI_NONAME || problem == EAI_NODATA) {
    // The end is Go's: who reads Apptainer's errors looks for it.
    throw base::error("cannot find the host ", base::printable(host),
                      ": dial tcp: lookup: no such host");
  }
  if (problem != 0) {
    throw base::error("cannot find the host ", base::printable(host), ": ",
                      ::gai_strerror(problem));
  }
  return std::unique_ptr<addrinfo, Addresses>(found);
}

}  // namespace

base::UniqueFd connect_unix_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    throw base::error("the name of the socket ", base::printable(path), " is too long");
  std::memcpy(address.sun_path, path.data(), path.size());
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw base::errno_error(errno, "cannot connect to ", base::printable(path));
  limit_silence(fd.get());
  return fd;
}

base::UniqueFd connect_tcp_socket(const std::string& host, std::uint16_t port) {
  const auto addresses = look_up(host, port);
  int problem = EADDRNOTAVAIL;
  for (const addrinfo* at = addresses.get(); at != nullptr; at = at->ai_next) {
    base::UniqueFd fd(::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    problem = fd ? connect_within_limit(fd.get(), at->ai_addr, at->ai_addrlen) : errno;
    if (problem != 0) continue;
    ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK);
    const int yes = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    limit_silence(fd.get());
    notice_death(fd.get());
    return fd;
  }
  throw base::errno_error(problem, "cannot connect to ", base::printable(host), " port ", port);
}

base::UniqueFd connect_tunnel(const Proxy& proxy, const std::string& host, std::uint16_t port) {
  base::UniqueFd fd = connect_tcp_socket(proxy.host, proxy.port);
  const std::string name = base::cat("the proxy ", base::printable(proxy.host));
  const std::string target =
      base::cat(host.find(':') == std::string::npos ? host : base::cat("[", host, "]"), ":", port);
  std::string request = base::cat("CONNECT ", target, " HTTP/1.1\r\nHost: ", target, "\r\n");
  if (!proxy.authorization.empty())
    request += base::cat("Proxy-Authorization: ", proxy.authorization, "\r\n");
  request += "\r\n";
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size()))
    throw base::errno_error(errno, "cannot ask ", name);
  // Byte by byte: what follows the head is the other server's.
  std::string head;
  while (!head.ends_with("\r\n\r\n")) {
    char byte = 0;
    const ssize_t count = ::recv(fd.get(), &byte, 1, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw base::errno_error(errno == EAGAIN ? ETIMEDOUT : errno, name, " fails");
    if (count == 0) throw base::Error(name + " closed the connection", ECONNRESET);
    if (head.size() == kMaxProxyHead) throw base::Error(name + " says too much", EPROTO);
    head += byte;
  }
  const std::string line = head.substr(0, head.find('\r'));
  if (!line.starts_with("HTTP/1.") ||
      line.substr(std::min<std::size_t>(line.size(), 8), 4) != " 200") {
    throw base::error(name, " does not connect to ", base::printable(host), ": ",
                      base::printable(line))
        .with_hint("https_proxy names it, with user:password@ if need be; no_proxy exempts hosts");
  }
  return fd;
}

}  // namespace net
