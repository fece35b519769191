// SPDX-License-Identifier: Apache-2.0
#include "net/proxy.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text.h"
#include "net/http.h"

namespace net {
namespace {

// IPv4 as IPv6 has it, so that one comparison does for both.
using Address = std::array<unsigned char, 16>;
constexpr unsigned kMappedBits = 96;

std::optional<Address> find_address(const std::string& text) {
  Address address{};
  if (::inet_pton(AF_INET6, text.c_str(), address.data()) == 1) return address;
  if (::inet_pton(AF_INET, text.c_str(), address.data() + 12) != 1) return std::nullopt;
  address[10] = address[11] = 0xff;
  return address;
}

bool same_begin(const Address& one, const Address& other, unsigned bits) {
  for (unsigned bit = 0; bit < bits; ++bit) {
    const unsigned mask = 0x80U >> (bit % 8);
    if ((one.at(bit / 8) & mask) != (other.at(bit / 8) & mask)) return false;
  }
  return true;
}

// "10.0.0.0/8"; false for what is no block of addresses.
bool is_in_block(const std::string& host, const std::string& block) {
  const std::size_t slash = block.find('/');
  const std::string start = block.substr(0, slash);
  const std::optional<Address> address = find_address(host), first = find_address(start);
  if (slash == std::string::npos || !address || !first) return false;
  const bool is_short = start.find(':') == std::string::npos;
  const auto bits = base::find_number<unsigned>(std::string_view(block).substr(slash + 1));
  if (!bits || *bits > (is_short ? 32U : 128U)) return false;
  return same_begin(*address, *first, *bits + (is_short ? kMappedBits : 0));
}

bool is_below(const std::string& host, const std::string& domain) {
  if (domain.starts_with('.')) return host.ends_with(domain);
  return host == domain || host.ends_with("." + domain);
}

// The variable's text may hold a password, so that it is in no message.
Proxy parse_proxy(std::string_view text, const char* variable) {
  std::string_view scheme = "http";
  if (const std::size_t colon = text.find("://"); colon != std::string_view::npos) {
    scheme = text.substr(0, colon);
    text.remove_prefix(colon + 3);
  }
  if (scheme != "http") {
    throw base::error(variable, ": proxies by ", base::printable(scheme), " are not supported")
        .with_hint("a proxy that http:// leads to, or no_proxy for this host");
  }
  const UrlWithUser parts = take_user(text.substr(0, text.find('/')));
  Proxy proxy;
  if (!parts.user.empty() || !parts.password.empty())
    proxy.authorization = basic_authorization(parts.user, parts.password);
  const Url url = parse_authority("http", parts.address);
  proxy.host = url.host;
  proxy.port = url.port;
  return proxy;
}

}  // namespace

bool is_loopback(const std::string& host) {
  if (host == "localhost") return true;
  const std::optional<Address> address = find_address(host);
  return address && (*address == *find_address("::1") ||
                     same_begin(*address, *find_address("127.0.0.0"), kMappedBits + 8));
}

bool is_exempt(std::string_view list, const std::string& host, std::uint16_t port) {
  const std::string name = base::lower_case(host);
  for (const std::string& part : base::split(list, ',')) {
    std::string entry = base::lower_case(base::trimmed(part));
    if (entry == "*" || is_in_block(name, entry)) return true;
    if (entry.starts_with('*')) entry.erase(0, 1);
    const std::size_t colon = entry.rfind(':');
    const bool is_address = find_address(entry).has_value();
    if (!is_address && colon != std::string::npos) {
      if (entry.substr(colon + 1) != std::to_string(port)) continue;
      entry.resize(colon);
      if (entry.starts_with('[') && entry.ends_with(']')) entry = entry.substr(1, entry.size() - 2);
    }
    if (entry.empty()) continue;
    const std::optional<Address> address = find_address(entry);
    if (address ? find_address(name) == address : is_below(name, entry)) return true;
  }
  return false;
}

std::optional<Proxy> find_proxy(const Url& url, const EnvironmentLookup& environment) {
  struct Variable {
    const char *upper, *lower;
  };
  const auto text_of = [&](const Variable& variable) -> std::string_view {
    for (const char* name : {variable.upper, variable.lower}) {
      const char* text = environment(name);
      if (text != nullptr && *text != '\0') return text;
    }
    return {};
  };
  const bool is_plain = url.scheme == "http";
  const Variable variable =
      is_plain ? Variable{"HTTP_PROXY", "http_proxy"} : Variable{"HTTPS_PROXY", "https_proxy"};
  const std::string_view text = text_of(variable);
  if (text.empty() || is_loopback(url.host) ||
      is_exempt(text_of({"NO_PROXY", "no_proxy"}), url.host, url.port))
    return std::nullopt;
  return parse_proxy(text, variable.lower);
}

}  // namespace net
