// SPDX-License-Identifier: Apache-2.0
// Absolute http and https addresses (RFC 3986), as far as registries and engines use them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace net {

inline constexpr std::size_t kMaxUrlSize = 16 << 10;  // signed addresses of blob stores are long

struct Url {
  std::string scheme = "https";  // or "http"
  std::string host{};            // a name or an address; IPv6 without its brackets
  std::uint16_t port = 443;
  std::string target = "/";  // path and query, as they are sent

  // "host", or "host:port" where the port is not the scheme's own; IPv6 in brackets.
  std::string authority() const;
  std::string text() const { return scheme + "://" + authority() + target; }
  bool has_origin_of(const Url& other) const {
    return scheme == other.scheme && host == other.host && port == other.port;
  }
};

// Throws Error for other schemes, for user names within, and for characters that would end a line
// of the request.
Url parse_url(std::string_view text);
// "https://user:password@host/x", or without a scheme, in its parts, decoded; the address is all of
// it where there is no user.
struct UrlWithUser {
  std::string address, user, password;
};
UrlWithUser take_user(std::string_view text);
// What `reference` (absolute, "//host/x", "/x" or "x") means in a document at `base`.
Url resolve_url(const Url& base, std::string_view reference);

// Splits "host", "host:port", "[::1]:port" into a Url of the scheme.
Url parse_authority(std::string_view scheme, std::string_view authority);

// Everything but letters, digits and -._~ as %XX.
std::string percent_encoded(std::string_view text);

}  // namespace net
