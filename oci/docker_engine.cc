// SPDX-License-Identifier: Apache-2.0
#include "oci/docker_engine.h"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <utility>
#include <vector>

#include "base/error.h"
#include "net/url.h"
#include "oci/digest.h"
#include "oci/json.h"

namespace oci {
namespace {

constexpr std::uint16_t kDockerPort = 2375;
constexpr std::size_t kMaxErrorSize = 64 << 10;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string find_socket() {
  std::vector<std::string> places = {"/var/run/docker.sock"};
  if (const std::string folder = variable("XDG_RUNTIME_DIR"); !folder.empty()) {
    places.push_back(folder + "/docker.sock");
    places.push_back(folder + "/podman/podman.sock");
  }
  places.emplace_back("/run/podman/podman.sock");
  for (const std::string& place : places) {
    if (::access(place.c_str(), R_OK | W_OK) == 0) return place;
  }
  return places.front();
}

// {"message": "No such image: x"}
std::string reason_of(net::Response& response) {
  const std::string text = response.read_text(kMaxErrorSize);
  try {
    return base::printable(JsonValue::parse(text, "answer").get("message").text());
  } catch (const base::Error&) {
    return base::cat("status ", response.status());
  }
}

}  // namespace

std::string docker_host() {
  for (const char* name : {"APPTAINER_DOCKER_HOST", "SINGULARITY_DOCKER_HOST", "DOCKER_HOST"}) {
    if (std::string address = variable(name); !address.empty()) return address;
  }
  return "";
}

DockerEngine::DockerEngine(const std::string& address) {
  constexpr std::string_view kUnix = "unix://", kTcp = "tcp://", kHttp = "http://";
  if (address.empty()) {
    socket_ = find_socket();
    return;
  }
  if (address.starts_with(kUnix)) {
    socket_ = address.substr(kUnix.size());
    return;
  }
  const bool is_plain = address.starts_with(kTcp) || address.starts_with(kHttp);
  if (!is_plain || !variable("DOCKER_TLS_VERIFY").empty()) {
    throw base::error("a Docker engine at ", base::printable(address), " ",
                      is_plain ? "with TLS " : "", "is not supported")
        .with_hint("unix:///PATH and tcp://HOST:PORT are; or use docker save IMAGE | sifconv -");
  }
  const std::size_t start = address.find("://") + 3;
  std::string authority = address.substr(start, address.find('/', start) - start);
  if (authority.find_last_of(":]") == std::string::npos || authority.ends_with(']'))
    authority += base::cat(":", kDockerPort);
  const net::Url url = net::parse_authority("http", authority);
  host_ = url.host;
  port_ = url.port;
}

std::unique_ptr<net::Response> DockerEngine::get(const std::string& target,
                                                 const std::string& image) const {
  const std::string place = socket_.empty() ? base::cat(host_, ":", port_) : socket_;
  try {
    auto response = std::make_unique<net::Response>(
        socket_.empty() ? net::connect_tcp(host_, port_) : net::connect_unix(socket_),
        net::Request{.target = target, .authority = socket_.empty() ? place : "docker"});
    if (response->status() == 200) return response;
    throw base::error("the engine at ", base::printable(place), " does not give the image ",
                      base::printable(image), ": ", reason_of(*response));
  } catch (base::Error& problem) {
    if (problem.errno_value() == 0) throw;
    const bool forbidden = problem.errno_value() == EACCES;
    throw base::error("cannot get the image ", base::printable(image),
                      " from a Docker engine: ", problem.what())
        .with_hint(forbidden ? "ask to be in the group docker, or run as a user who may use it"
                             : "is the engine running? DOCKER_HOST names another one");
  }
}

std::string DockerEngine::image_id(const std::string& image) const {
  const auto response = get("/images/" + net::percent_encoded(image) + "/json", image);
  const std::string text = response->read_text(kMaxJsonSize);
  std::string id = JsonValue::parse(text, "the engine's answer").get("Id").text();
  if (!id.starts_with("sha256:")) id.insert(0, "sha256:");  // Podman's service of old
  if (!is_sha256_digest(id))
    throw base::error("the engine calls the image ", base::printable(id.substr(0, 100)));
  return id;
}

ReadStream DockerEngine::save(const std::string& image) const {
  const std::shared_ptr<net::Response> response =
      get("/images/" + net::percent_encoded(image) + "/get", image);
  return [response](std::span<std::byte> out) { return response->read(out); };
}

}  // namespace oci
