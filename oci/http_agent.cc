// SPDX-License-Identifier: Apache-2.0
#include "oci/http_agent.h"

#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/syscalls.h"
#include "net/proxy.h"

namespace oci {
namespace {

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Certificates of single registries, where docker and podman look for them.
std::vector<std::string> certificates_of(const std::string& authority) {
  std::vector<std::string> folders = {"/etc/containers/certs.d/", "/etc/docker/certs.d/"};
  if (const char* home = std::getenv("HOME"); home != nullptr)
    folders.insert(folders.begin(), std::string(home) + "/.config/containers/certs.d/");
  std::vector<std::string> files;
  for (const std::string& folder : folders) {
    for (const std::string& name : base::readable_names(folder + authority))
      if (name.ends_with(".crt")) files.push_back(base::cat(folder, authority, "/", name));
  }
  return files;
}

}  // namespace

HttpAgent::HttpAgent(net::Url origin) : origin_(std::move(origin)) {
  trust_.files = certificates_of(origin_.authority());
}

std::unique_ptr<net::Response> HttpAgent::send(const net::Request& request,
                                               const net::Url& url) const {
  const std::optional<net::Proxy> proxy = net::find_proxy(url, ::getenv);
  net::Request complete = request;
  complete.target = url.target;
  std::unique_ptr<net::Channel> channel;
  if (url.scheme == "https") {
    channel = net::connect_tls(url.host, url.port, trust_, proxy ? &*proxy : nullptr);
  } else if (proxy) {
    channel = net::connect_tcp(proxy->host, proxy->port);
    complete.target = url.text();
    if (!proxy->authorization.empty())
      complete.fields.emplace_back("Proxy-Authorization", proxy->authorization);
  } else {
    channel = net::connect_tcp(url.host, url.port);
  }
  complete.authority = url.authority();
  complete.fields.emplace_back("User-Agent", "sifconv/" SIFCONV_VERSION);
  return std::make_unique<net::Response>(std::move(channel), complete);
}

std::unique_ptr<net::Response> HttpAgent::follow(const std::string& method, net::Url url,
                                                 const net::Fields& fields,
                                                 const std::string& authorization) const {
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    net::Request request{.method = method, .fields = fields};
    if (!authorization.empty() && url.has_origin_of(origin_))
      request.fields.emplace_back("Authorization", authorization);
    std::unique_ptr<net::Response> response = send(request, url);
    // Who is asked only because of a redirect learns nothing about us.
    if (response->status() == 401 && !url.has_origin_of(origin_))
      throw base::error(origin_.host, " redirects to ", url.host, ", which asks for a login");
    if (!is_redirect(response->status())) return response;
    const std::optional<std::string> location = response->find("location");
    if (!location) throw base::error(url.host, " redirects to nowhere");
    const net::Url next = net::resolve_url(url, *location);
    if (url.scheme == "https" && next.scheme == "http")
      throw base::error(url.host, " redirects from https to http, which is refused");
    url = next;
  }
  throw base::error(origin_.host, " redirects more than ", kMaxRedirects, " times");
}

}  // namespace oci
