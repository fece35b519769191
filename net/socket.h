// SPDX-License-Identifier: Apache-2.0
// Connected stream sockets with limits of time.
#pragma once

#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "net/channel.h"

namespace net {

base::UniqueFd connect_unix_socket(const std::string& path);
base::UniqueFd connect_tcp_socket(const std::string& host, std::uint16_t port);
// A tunnel by CONNECT (RFC 9110 section 9.3.6). The host's name is looked up by the proxy.
base::UniqueFd connect_tunnel(const Proxy& proxy, const std::string& host, std::uint16_t port);

}  // namespace net
