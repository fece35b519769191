// SPDX-License-Identifier: Apache-2.0
// Connections to a server: a socket of this machine or of the network, plain or with TLS. Every
// wait is limited. One thread at a time uses a channel.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace net {

inline constexpr std::chrono::seconds kConnectLimit{30};  // for each address of a host
// Without a byte in either direction. Servers may work for minutes before they answer: an engine
// that gathers an image, a registry that stores a large blob.
inline constexpr std::chrono::seconds kSilenceLimit = std::chrono::minutes(30);
// Without a sign of life from the other machine.
inline constexpr std::chrono::seconds kDeadLimit{60};

class Channel {
 public:
  Channel() = default;
  virtual ~Channel() = default;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // At least one byte; 0 at the end. Throws Error when the connection breaks or is silent.
  virtual std::size_t read(std::span<std::byte> out) = 0;
  virtual void write(std::string_view text) = 0;
};

std::unique_ptr<Channel> connect_unix(const std::string& path);
// Tries all addresses of the name, which is looked up in /etc/hosts and by DNS.
std::unique_ptr<Channel> connect_tcp(const std::string& host, std::uint16_t port);

// A server that connects to others for us.
struct Proxy {
  std::string host{};
  std::uint16_t port = 80;
  std::string authorization{};  // the Proxy-Authorization field; may be empty
};

// Whom to believe that a server is who it says.
struct TlsTrust {
  std::vector<std::string> files;  // certificates in PEM, besides those of the machine
  bool any = false;                // everyone
};
// Through the proxy where there is one, which sees neither what is asked nor what is answered.
// Throws Error with a hint when the certificate is not to be trusted.
std::unique_ptr<Channel> connect_tls(const std::string& host, std::uint16_t port,
                                     const TlsTrust& trust, const Proxy* proxy = nullptr);

}  // namespace net
