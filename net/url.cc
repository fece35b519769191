// SPDX-License-Identifier: Apache-2.0
#include "net/url.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "base/error.h"
#include "base/text.h"

namespace net {
namespace {

constexpr std::size_t kMaxHostSize = 255;

std::uint16_t default_port(std::string_view scheme) { return scheme == "http" ? 80 : 443; }

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_host(std::string_view host) {
  return !host.empty() && host.size() <= kMaxHostSize && std::ranges::all_of(host, [](char c) {
    return is_alphanumeric(c) || c == '.' || c == '-' || c == '_' || c == ':' || c == '%';
  });
}

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
  throw base::error("the address ", base::printable(text.substr(0, 200)), " ", why);
}

// %XX as the byte it stands for; other signs of percent as they are.
std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned char code = 0;
    const char* const digits = text.data() + i + 1;
    const bool is_code = text[i] == '%' && text.size() - i > 2 &&
                         std::from_chars(digits, digits + 2, code, 16).ptr == digits + 2;
    out += is_code ? static_cast<char>(code) : text[i];
    if (is_code) i += 2;
  }
  return out;
}

}  // namespace

std::string Url::authority() const {
  std::string text = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return port == default_port(scheme) ? text : base::cat(text, ":", port);
}

Url parse_authority(std::string_view scheme, std::string_view authority) {
  Url url{.scheme = std::string(scheme), .port = default_port(scheme)};
  std::string_view rest;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) refuse(authority, "has a bracket that is not closed");
    url.host = authority.substr(1, end - 1);
    rest = authority.substr(end + 1);
  } else {
    const std::size_t colon = std::min(authority.find(':'), authority.size());
    url.host = authority.substr(0, colon);
    rest = authority.substr(colon);
  }
  if (!is_host(url.host)) refuse(authority, "has no valid host name");
  if (rest.empty()) return url;
  url.port = base::find_number<std::uint16_t>(rest.substr(1)).value_or(0);
  if (rest[0] != ':' || url.port == 0) refuse(authority, "has no valid port");
  return url;
}

Url parse_url(std::string_view text) {
  if (text.size() > kMaxUrlSize) refuse(text, "is too long");
  if (!std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; }))
    refuse(text, "holds spaces or control characters");
  const std::size_t colon = text.find("://");
  const std::string_view scheme = text.substr(0, colon == std::string_view::npos ? 0 : colon);
  if (scheme != "http" && scheme != "https") refuse(text, "is neither http nor https");
  std::string_view rest = text.substr(colon + 3);
  const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  const std::string_view authority = rest.substr(0, end);
  if (authority.find('@') != std::string_view::npos) refuse(text, "holds a user name");
  Url url = parse_authority(scheme, authority);
  rest = rest.substr(end);
  rest = rest.substr(0, rest.find('#'));
  url.target = rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
  return url;
}

UrlWithUser take_user(std::string_view text) {
  const std::size_t colon = text.find("://");
  const std::size_t start = colon == std::string_view::npos ? 0 : colon + 3;
  const std::string_view rest = text.substr(start);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  const std::size_t at = authority.rfind('@');
  if (at == std::string_view::npos) return {std::string(text), "", ""};
  const std::string_view user = authority.substr(0, at);
  const std::size_t end = std::min(user.find(':'), user.size());
  return {std::string(text.substr(0, start)).append(rest.substr(at + 1)),
          percent_decoded(user.substr(0, end)),
          percent_decoded(user.substr(std::min(end + 1, user.size())))};
}

Url resolve_url(const Url& base, std::string_view reference) {
  if (reference.starts_with("//")) return parse_url(base.scheme + ":" + std::string(reference));
  const std::size_t end = std::min(reference.find_first_of("/?#"), reference.size());
  if (reference.substr(0, end).find(':') != std::string_view::npos) return parse_url(reference);
  Url origin = base;
  origin.target = "/";
  if (reference.starts_with('/'))
    return parse_url(origin.text() + std::string(reference.substr(1)));
  const std::string path = base.target.substr(0, base.target.find('?'));
  const std::string folder = path.substr(1, path.rfind('/'));
  return parse_url(origin.text() + folder + std::string(reference));
}

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      out += '%';
      const std::string digits = base::hex(&c, 1);
      out.append(digits);
    }
  }
  return out;
}

}  // namespace net
