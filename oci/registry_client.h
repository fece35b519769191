// SPDX-License-Identifier: Apache-2.0
// A registry, by the OCI distribution protocol: manifests and blobs of one repository.
// The registry, and whoever it sends us to, is hostile: sizes, redirects and waits are limited, and
// nobody but the registry and the token server that it names sees credentials.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "net/http.h"
#include "net/url.h"
#include "oci/file_source.h"
#include "oci/http_agent.h"
#include "oci/registry_auth.h"

namespace oci {

struct RegistryReference {
  std::string authority;   // "localhost:5000", as it is connected to
  std::string repository;  // "library/debian"
  std::string tag;         // or
  std::string digest{};    // which wins
  std::string text;        // in the short form, "debian:12"

  const std::string& version() const { return digest.empty() ? tag : digest; }
};

// "[host[:port]/]name[:tag][@sha256:digest]" with Docker's rules for what is left out. Throws
// Error.
RegistryReference parse_reference(std::string_view text);

// "host[:port]" of Docker's grammar, for what concerns the registry alone.
RegistryReference parse_registry(std::string_view text);

struct RegistryOptions {
  bool no_https = false;
  AuthFiles auth{};
  bool may_push = false;  // ask for the right to
};

// What Apptainer allows to oras:// and logins: a registry of this very machine that does not speak
// TLS is spoken to without it. Asks the registry; `options` are also the answer where it is silent.
RegistryOptions plain_on_loopback(const RegistryReference& registry, RegistryOptions options);

struct Manifest {
  std::string text, media_type, digest;
};

// Thread-safe.
class RegistryClient {
 public:
  RegistryClient(RegistryReference reference, const RegistryOptions& options);

  const RegistryReference& reference() const { return reference_; }

  // By tag or digest; its digest is that of the text, and verified where the version is one.
  Manifest manifest(const std::string& version);
  // The digest that a tag stands for now, without fetching more than necessary.
  std::string resolve(const std::string& version);
  // Throws unless the registry, whatever its repositories, takes the credentials.
  void check_login();

  // Downloads a blob of at most `limit` bytes into the empty file `fd` and gives its size;
  // continues where a connection broke. `count` is told of bytes as they come. Throws unless the
  // digest is right.
  std::uint64_t fetch_blob(const std::string& digest, std::uint64_t limit, int fd,
                           std::atomic<std::uint64_t>& count);
  // The same into a nameless file of `folder`.
  FileSource blob(const std::string& digest, std::uint64_t limit, const std::string& folder,
                  std::atomic<std::uint64_t>& count);

  // Stores a blob unless the registry has it; of `content` the body counts.
  void push_blob(const std::string& digest, net::Request content);
  void push_manifest(const Manifest& manifest, const std::string& version);

 private:
  using Answer = std::unique_ptr<net::Response>;

  net::Url url_of(std::string_view kind, std::string_view name) const;
  Answer put(net::Request request, const net::Url& url);
  Answer get(const std::string& method, const net::Url& url, const net::Fields& fields);
  std::string authorize(const net::Response& refusal) const;
  std::string fetch_token(const Challenge& challenge) const;
  // Throws what the answer says for the refusal of `what` ("does not give x").
  [[noreturn]] void refuse(net::Response& response, const std::string& what) const;

  RegistryReference reference_;
  HttpAgent agent_;
  bool may_push_;
  std::optional<Credentials> credentials_;
  std::mutex mutex_;
  std::string authorization_;  // guarded by mutex_
};

}  // namespace oci
