// SPDX-License-Identifier: Apache-2.0
#include "oci/ready_image.h"

#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "oci/attempts.h"
#include "oci/digest.h"
#include "oci/download.h"
#include "oci/http_agent.h"
#include "oci/json.h"
#include "oci/registry_client.h"
#include "oci/registry_members.h"
#include "sif/sif_reader.h"

namespace oci {
namespace {

using nlohmann::ordered_json;

// Of ORAS artifacts; the second, mistyped as it is, by the first versions of Singularity.
constexpr std::string_view kSifType = "application/vnd.sylabs.sif.layer.v1.sif";
constexpr std::string_view kOldSifType = "appliciation/vnd.sylabs.sif.layer.tar";

constexpr std::string_view kManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view kConfigType = "application/vnd.sylabs.sif.config.v1+json";
constexpr std::string_view kEmptyConfig = "{}";

struct SifBlob {
  std::string digest;
  std::uint64_t size;
};

SifBlob find_sif_blob(RegistryClient& client, const std::string& name) {
  const Manifest manifest = client.manifest(client.reference().version());
  for (const JsonValue& layer : JsonValue::parse(manifest.text, name).items_of("layers")) {
    const std::string type = layer.text_of("mediaType");
    if (type != kSifType && type != kOldSifType) continue;
    const std::string digest = layer.get("digest").text();
    const std::optional<JsonValue> size = layer.find("size");
    if (!is_sha256_digest(digest) || !size || !size->raw().is_number_unsigned() ||
        size->raw().get<std::uint64_t>() > kMaxBlobSize)
      throw base::error(name, ": its manifest describes no SIF of a possible size and digest");
    return {digest, size->raw().get<std::uint64_t>()};
  }
  throw base::error(name, " holds no SIF").with_hint("docker:// is for images of layers");
}

RegistryClient client_of(const SourceSpec& source, bool may_push = false) {
  const RegistryReference reference = parse_reference(source.path);
  RegistryOptions options = plain_on_loopback(reference, source.registry);
  options.may_push = may_push;
  return {reference, options};
}

std::uint64_t fetch_from_registry(const SourceSpec& source, int fd, ConvertProgress& progress) {
  RegistryClient client = client_of(source);
  const SifBlob blob = find_sif_blob(client, source.name());
  if (!source.identity.empty() && blob.digest != source.identity)
    throw base::error(source.name(), " has become another image meanwhile: try again");
  progress.read_total = blob.size;
  return client.fetch_blob(blob.digest, blob.size, fd, progress.read_done);
}

std::unique_ptr<net::Response> ask_web(const HttpAgent& agent, const SourceSpec& source,
                                       const net::Fields& fields) {
  std::unique_ptr<net::Response> answer =
      agent.follow("GET", agent.origin(), fields, source.authorization);
  const int status = answer->status();
  if (status == 200 || (status == 206 && !fields.empty())) return answer;
  throw base::Error(base::cat("the server ", agent.origin().authority(), " does not give ",
                              base::printable(agent.origin().target), ": StatusCode: ", status),
                    is_passing_status(status) ? EAGAIN : 0);
}

std::uint64_t fetch_from_web(const SourceSpec& source, int fd, ConvertProgress& progress) {
  const HttpAgent agent(net::parse_url(source.path));
  Download download(fd, source.name(), kMaxBlobSize, progress.read_done, Download::Proof::none);
  download.run([&](const net::Fields& fields) {
    auto answer = ask_web(agent, source, fields);
    if (fields.empty()) progress.read_total = answer->length().value_or(0);
    return answer;
  });
  return download.size();
}

}  // namespace

bool is_ready_made(const SourceSpec& source) {
  return source.transport == Transport::oras || source.transport == Transport::web;
}

std::uint64_t fetch_ready_made(const SourceSpec& source, int fd, ConvertProgress& progress) {
  const std::uint64_t size = source.transport == Transport::oras
                                 ? fetch_from_registry(source, fd, progress)
                                 : fetch_from_web(source, fd, progress);
  const std::string path = base::cat("/proc/self/fd/", fd);
  try {
    sif::open_image(path);
  } catch (const base::Error& problem) {
    std::string why = problem.what();
    if (const std::size_t at = why.find(path); at != std::string::npos)
      why.replace(at, path.size(), "it");
    throw base::error(base::printable(source.name()), " is no image to run: ", why);
  }
  return size;
}

void push_sif(const std::string& path, const SourceSpec& target) {
  const sif::SifFile sif = sif::open_sif(path);
  const auto size = static_cast<std::uint64_t>(base::file_status(sif.fd.get(), path).st_size);
  const std::string digest = file_digest(sif.fd.get(), size, path);
  const std::string config_digest = sha256_digest(kEmptyConfig);
  const ordered_json manifest = {
      {"schemaVersion", 2},
      {"mediaType", kManifestType},
      {"config",
       {{"mediaType", kConfigType}, {"size", kEmptyConfig.size()}, {"digest", config_digest}}},
      {"layers",
       {{{"mediaType", kSifType},
         {"size", size},
         {"digest", digest},
         {"annotations",
          {{"org.opencontainers.image.title", path.substr(path.rfind('/') + 1)}}}}}}};
  RegistryClient client = client_of(target, true);
  client.push_blob(digest, {.file = sif.fd.get(), .file_size = size});
  client.push_blob(config_digest, {.body = std::string(kEmptyConfig)});
  client.push_manifest({manifest.dump(-1, ' ', false, ordered_json::error_handler_t::replace),
                        std::string(kManifestType), ""},
                       client.reference().version());
}

std::string ready_made_identity(const SourceSpec& source) {
  if (source.transport == Transport::oras) {
    RegistryClient client = client_of(source);
    return find_sif_blob(client, source.name()).digest;
  }
  const HttpAgent agent(net::parse_url(source.path));
  const auto answer = agent.follow("HEAD", agent.origin(), {}, source.authorization);
  const auto said = [&](std::string_view field) { return answer->find(field).value_or(""); };
  const std::string version = said("etag") + "\n" + said("last-modified");
  // Without one, or where only GET is allowed, it may be another file each time.
  if (answer->status() != 200 || version == "\n")
    return base::cat(source.path, "\n",
                     std::chrono::system_clock::now().time_since_epoch().count());
  return base::cat(source.path, "\n", version, "\n", said("content-length"));
}

}  // namespace oci
