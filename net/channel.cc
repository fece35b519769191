// SPDX-License-Identifier: Apache-2.0
#include "net/channel.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "base/error.h"
#include "net/socket.h"

namespace net {
namespace {

class SocketChannel : public Channel {
 public:
  SocketChannel(base::UniqueFd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}

  std::size_t read(std::span<std::byte> out) override {
    for (;;) {
      const ssize_t count = ::recv(fd_.get(), out.data(), out.size(), 0);
      if (count >= 0) return static_cast<std::size_t>(count);
      if (errno != EINTR) fail();
    }
  }

  void write(std::string_view text) override {
    while (!text.empty()) {
      const ssize_t count = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (count >= 0)
        text.remove_prefix(static_cast<std::size_t>(count));
      else if (errno != EINTR)
        fail();
    }
  }

 private:
  [[noreturn]] void fail() const {
    if (errno == EAGAIN) throw base::Error(base::cat(name_, " does not answer"), ETIMEDOUT);
    throw base::errno_error(errno, "the connection to ", name_, " broke");
  }

  base::UniqueFd fd_;
  std::string name_;
};

}  // namespace

std::unique_ptr<Channel> connect_unix(const std::string& path) {
  return std::make_unique<SocketChannel>(connect_unix_socket(path), base::printable(path));
}

std::unique_ptr<Channel> connect_tcp(const std::string& host, std::uint16_t port) {
  return std::make_unique<SocketChannel>(connect_tcp_socket(host, port), base::printable(host));
}

}  // namespace net
