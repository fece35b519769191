// SPDX-License-Identifier: Apache-2.0
// Requests to a server and to whoever it sends us to: by the proxy that the environment names, with
// redirects followed. Nobody but the server itself sees what authorizes us.
#pragma once

#include <memory>
#include <string>

#include "net/http.h"
#include "net/url.h"

namespace oci {

inline constexpr int kMaxRedirects = 10;

// Immutable, hence thread-safe.
class HttpAgent {
 public:
  // Certificates for it in the folders of docker and podman are believed, besides the machine's.
  explicit HttpAgent(net::Url origin);

  const net::Url& origin() const { return origin_; }

  // One exchange, whatever the answer.
  std::unique_ptr<net::Response> send(const net::Request& request, const net::Url& url) const;
  // Up to an answer that is no redirect. Throws for too many, for one from https to http, and where
  // another server than the origin wants to know who we are.
  std::unique_ptr<net::Response> follow(const std::string& method, net::Url url,
                                        const net::Fields& fields,
                                        const std::string& authorization = {}) const;

 private:
  net::Url origin_;
  net::TlsTrust trust_;
};

}  // namespace oci
