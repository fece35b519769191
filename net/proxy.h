// SPDX-License-Identifier: Apache-2.0
// The proxies of http_proxy, https_proxy and no_proxy, by the rules of Go's net/http, which Docker
// and Apptainer follow: the upper-case name goes first, and this machine is never asked for through
// one.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "net/channel.h"
#include "net/url.h"

namespace net {

using EnvironmentLookup = std::function<const char*(const char*)>;  // as getenv(3)

// nullopt: directly. Throws Error with a hint where the variable names a kind of proxy that is not
// spoken here.
std::optional<Proxy> find_proxy(const Url& url, const EnvironmentLookup& environment);

// "localhost", 127.0.0.0/8 and ::1.
bool is_loopback(const std::string& host);

// True where `list`, as no_proxy has it, names the host: "*", a domain with those below it,
// ".domain" for those below only, an address, a block of addresses ("10.0.0.0/8"), each with
// ":port" or not.
bool is_exempt(std::string_view list, const std::string& host, std::uint16_t port);

}  // namespace net
