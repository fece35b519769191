// SPDX-License-Identifier: Apache-2.0
// Connected stream sockets with limits of time.
#pragma once

#include <cstdint>
#include <string>

#include "base/unique_fd.h"

namespace net {

base::UniqueFd connect_unix_socket(const std::string& path);
base::UniqueFd connect_tcp_socket(const std::string& host, std::uint16_t port);

}  // namespace net
