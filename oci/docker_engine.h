// SPDX-License-Identifier: Apache-2.0
// Images in the storage of a Docker engine, over its HTTP interface; Podman's service speaks it,
// too. What it gives is the archive of `docker save`.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "net/http.h"
#include "oci/decompress.h"

namespace oci {

class DockerEngine {
 public:
  // `address` is DOCKER_HOST: unix:///path or tcp://host:port; empty: the first socket that there
  // is of Docker's, a rootless Docker's and Podman's. Throws for other addresses.
  explicit DockerEngine(const std::string& address);

  // The image ID, "sha256:...". Throws Error when there is no such image.
  std::string image_id(const std::string& image) const;
  // The archive, uncompressed; throws when the engine breaks off.
  ReadStream save(const std::string& image) const;

 private:
  std::unique_ptr<net::Response> get(const std::string& target, const std::string& image) const;

  std::string socket_;  // path; empty: the host
  std::string host_;
  std::uint16_t port_ = 0;
};

// The address that the environment names, for the constructor.
std::string docker_host();

}  // namespace oci
