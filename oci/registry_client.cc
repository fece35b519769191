// SPDX-License-Identifier: Apache-2.0
#include "oci/registry_client.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/output_file.h"
#include "base/text.h"
#include "net/proxy.h"
#include "oci/attempts.h"
#include "oci/digest.h"
#include "oci/download.h"
#include "oci/json.h"

namespace oci {
namespace {

constexpr std::size_t kMaxToken = 256 << 10;
constexpr std::size_t kMaxErrorText = 64 << 10;
constexpr std::size_t kMaxReasons = 4;
constexpr std::string_view kManifestTypes =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

// {"errors": [{"code": "X_Y", "message": "..."}]} as "x y: ...", the words of the registries' own
// client library: programs that drive Apptainer (nf-core's) tell errors by them.
std::string reason_in(const std::string& text, int status) {
  std::vector<std::string> reasons;
  try {
    for (const JsonValue& error : JsonValue::parse(text, "answer").items_of("errors")) {
      std::string code = base::lower_case(error.text_of("code"));
      std::ranges::replace(code, '_', ' ');
      const std::string message = error.text_of("message");
      reasons.push_back(base::printable(message.empty() ? code : base::cat(code, ": ", message)));
      if (reasons.size() == kMaxReasons) break;
    }
  } catch (const base::Error&) {
    // An answer of some proxy on the way; its status must do.
  }
  return reasons.empty() ? base::cat("StatusCode: ", status) : base::join(reasons, ", ");
}

}  // namespace

RegistryOptions plain_on_loopback(const RegistryReference& registry, RegistryOptions options) {
  net::Url url = net::parse_authority("https", registry.authority);
  if (options.no_https || !net::is_loopback(url.host)) return options;
  url.target = "/v2/";
  try {
    HttpAgent(url).send({}, url);
  } catch (const base::Error& error) {
    options.no_https = error.errno_value() == EPROTO;
  }
  return options;
}

RegistryClient::RegistryClient(RegistryReference reference, const RegistryOptions& options)
    : reference_(std::move(reference)),
      agent_(net::parse_authority(options.no_https ? "http" : "https", reference_.authority)),
      may_push_(options.may_push),
      credentials_(find_credentials(reference_.authority, reference_.repository, options.auth)) {}

net::Url RegistryClient::url_of(std::string_view kind, std::string_view name) const {
  net::Url url = agent_.origin();
  url.target = base::cat("/v2/", reference_.repository, "/", kind, "/", name);
  return url;
}

RegistryClient::Answer RegistryClient::get(const std::string& method, const net::Url& url,
                                           const net::Fields& fields) {
  std::string authorization;
  {
    const std::lock_guard lock(mutex_);
    authorization = authorization_;
  }
  Answer response = agent_.follow(method, url, fields, authorization);
  if (response->status() != 401) return response;
  // Not yet known, or a token that has expired. Threads that meet this at once each get their own.
  authorization = authorize(*response);
  {
    const std::lock_guard lock(mutex_);
    authorization_ = authorization;
  }
  return agent_.follow(method, url, fields, authorization);
}

std::string RegistryClient::authorize(const net::Response& refusal) const {
  for (const std::string& field : refusal.all("www-authenticate")) {
    const std::optional<Challenge> challenge = parse_challenge(field);
    if (!challenge) continue;
    if (challenge->scheme == "bearer") return "Bearer " + fetch_token(*challenge);
    if (challenge->scheme == "basic" && credentials_ && !credentials_->user.empty())
      return net::basic_authorization(credentials_->user, credentials_->password);
  }
  throw base::error("the registry ", agent_.origin().authority(),
                    " wants to know who you are: unauthorized: authentication required")
      .with_hint(
          "sifrun registry login, docker login or podman login, --authfile, or "
          "APPTAINER_DOCKER_USERNAME and APPTAINER_DOCKER_PASSWORD");
}

std::string RegistryClient::fetch_token(const Challenge& challenge) const {
  const auto parameter = [&](const std::string& name) {
    const auto found = challenge.parameters.find(name);
    return found == challenge.parameters.end() ? "" : found->second;
  };
  net::Url url = net::parse_url(parameter("realm"));
  if (agent_.origin().scheme == "https" && url.scheme == "http")
    throw base::error("the token server ", url.text(), " has no https, which is refused");
  std::string question = base::cat("service=", net::percent_encoded(parameter("service")));
  if (!reference_.repository.empty()) {
    question += "&scope=" + net::percent_encoded(base::cat("repository:", reference_.repository,
                                                           may_push_ ? ":pull,push" : ":pull"));
  }
  net::Request request;
  if (credentials_ && !credentials_->identity_token.empty()) {
    request.method = "POST";
    request.body = base::cat(question, "&client_id=sifconv&grant_type=refresh_token&refresh_token=",
                             net::percent_encoded(credentials_->identity_token));
    request.fields.emplace_back("Content-Type", "application/x-www-form-urlencoded");
  } else {
    url.target += (url.target.find('?') == std::string::npos ? "?" : "&") + question;
    if (credentials_) {
      request.fields.emplace_back(
          "Authorization", net::basic_authorization(credentials_->user, credentials_->password));
    }
  }
  const Answer response = agent_.send(request, url);
  const std::string text = response->read_text(kMaxToken);
  if (response->status() != 200) {
    throw base::Error(base::cat("the token server ", url.authority(),
                                " refuses: invalid status code from registry ", response->status(),
                                " (", reason_in(text, response->status()), ")"),
                      is_passing_status(response->status()) ? EAGAIN : 0)
        .with_hint(reference_.repository.empty()
                       ? "are the user name and the password right?"
                       : "is the name of the image right, and the password?");
  }
  const JsonValue answer = JsonValue::parse(text, "the token server's answer");
  std::string token = answer.text_of("token");
  if (token.empty()) token = answer.text_of("access_token");
  if (token.empty() || token.find_first_of("\r\n") != std::string::npos)
    throw base::error("the token server ", url.authority(), " gives no token");
  return token;
}

void RegistryClient::refuse(net::Response& response, const std::string& what) const {
  const int status = response.status();
  const std::string reason = reason_in(response.read_text(kMaxErrorText), status);
  throw base::Error(base::cat("the registry ", agent_.origin().authority(), " ",
                              base::printable(what), ": ", reason),
                    is_passing_status(status) ? EAGAIN : 0);
}

void RegistryClient::check_login() {
  net::Url url = agent_.origin();
  url.target = "/v2/";
  const Answer response = get("GET", url, {});
  if (response->status() != 200) refuse(*response, "does not take the login");
}

Manifest RegistryClient::manifest(const std::string& version) {
  const Answer response = ask_patiently([&] {
    Answer answer =
        get("GET", url_of("manifests", version), {{"Accept", std::string(kManifestTypes)}});
    if (answer->status() != 200) refuse(*answer, "does not give " + reference_.text);
    return answer;
  });
  Manifest found;
  found.text = response->read_text(kMaxJsonSize);
  found.digest = sha256_digest(found.text);
  found.media_type = response->find("content-type").value_or("");
  if (version.starts_with("sha256:") && version != found.digest) {
    throw base::error("the manifest ", version, " from ", agent_.origin().authority(),
                      " is corrupt: its digest is ", found.digest);
  }
  return found;
}

std::string RegistryClient::resolve(const std::string& version) {
  if (version.starts_with("sha256:")) return version;
  const Answer response =
      get("HEAD", url_of("manifests", version), {{"Accept", std::string(kManifestTypes)}});
  const std::optional<std::string> digest = response->find("docker-content-digest");
  if (response->status() == 200 && digest && is_sha256_digest(*digest)) return *digest;
  return manifest(version).digest;
}

std::uint64_t RegistryClient::fetch_blob(const std::string& digest, std::uint64_t limit, int fd,
                                         std::atomic<std::uint64_t>& count) {
  Download download(fd, "the blob " + digest, limit, count);
  download.run([&](const net::Fields& fields) {
    Answer response = get("GET", url_of("blobs", digest), fields);
    if (response->status() != 200 && (response->status() != 206 || fields.empty()))
      refuse(*response, "does not give " + digest);
    return response;
  });
  if (const std::string actual = download.digest(); actual != digest) {
    throw base::error("the blob ", digest, " from ", agent_.origin().authority(),
                      " is corrupt: its digest is ", actual);
  }
  return download.size();
}

FileSource RegistryClient::blob(const std::string& digest, std::uint64_t limit,
                                const std::string& folder, std::atomic<std::uint64_t>& count) {
  auto file = std::make_shared<const base::UniqueFd>(base::make_unnamed_file(folder));
  const std::uint64_t size = fetch_blob(digest, limit, file->get(), count);
  return {std::move(file), 0, size, digest};
}

// Uploads are not redirected. Who reads without a login may need one to write.
RegistryClient::Answer RegistryClient::put(net::Request request, const net::Url& url) {
  request.method = "PUT";
  const std::lock_guard lock(mutex_);
  const auto send = [&] {
    net::Request complete = request;
    if (!authorization_.empty() && url.has_origin_of(agent_.origin()))
      complete.fields.emplace_back("Authorization", authorization_);
    return agent_.send(complete, url);
  };
  Answer answer = send();
  if (answer->status() != 401 || !url.has_origin_of(agent_.origin())) return answer;
  authorization_ = authorize(*answer);
  return send();
}

void RegistryClient::push_blob(const std::string& digest, net::Request content) {
  if (get("HEAD", url_of("blobs", digest), {})->status() == 200) return;
  const net::Url start = url_of("blobs", "uploads/");
  const Answer begun = get("POST", start, {{"Content-Length", "0"}});
  const std::optional<std::string> location = begun->find("location");
  if (begun->status() != 202 || !location) refuse(*begun, "takes no upload");
  net::Url url = net::resolve_url(start, *location);
  if (start.scheme == "https" && url.scheme == "http")
    throw base::error(start.host, " wants an upload without https, which is refused");
  url.target += (url.target.find('?') == std::string::npos ? "?" : "&") +
                ("digest=" + net::percent_encoded(digest));
  content.fields.emplace_back("Content-Type", "application/octet-stream");
  const Answer done = put(std::move(content), url);
  if (done->status() != 201) refuse(*done, "does not take " + digest);
}

void RegistryClient::push_manifest(const Manifest& manifest, const std::string& version) {
  const Answer done =
      put({.fields = {{"Content-Type", manifest.media_type}}, .body = manifest.text},
          url_of("manifests", version));
  if (done->status() != 201) refuse(*done, "does not take " + reference_.text);
}

}  // namespace oci
