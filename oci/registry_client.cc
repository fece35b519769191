// SPDX-License-Identifier: Apache-2.0
#include "oci/registry_client.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/output_file.h"
#include "base/syscalls.h"
#include "net/proxy.h"
#include "oci/digest.h"
#include "oci/json.h"

namespace oci {
namespace {

constexpr int kMaxRedirects = 10;
constexpr int kMaxAttempts = 5;  // in a row that bring nothing
constexpr std::chrono::seconds kFirstPause{1};
constexpr std::size_t kMaxToken = 256 << 10;
constexpr std::size_t kMaxErrorText = 64 << 10;
constexpr std::size_t kChunk = 1 << 20;
constexpr std::string_view kManifestTypes =
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool is_passing(int status) { return status == 408 || status == 429 || status >= 500; }

// Certificates of single registries, where docker and podman look for them.
std::vector<std::string> certificates_of(const std::string& authority) {
  std::vector<std::string> folders = {"/etc/containers/certs.d/", "/etc/docker/certs.d/"};
  if (const char* home = std::getenv("HOME"); home != nullptr)
    folders.insert(folders.begin(), std::string(home) + "/.config/containers/certs.d/");
  std::vector<std::string> files;
  for (const std::string& folder : folders) {
    std::error_code absent;
    for (const auto& entry : std::filesystem::directory_iterator(folder + authority, absent)) {
      if (entry.path().extension() == ".crt") files.push_back(entry.path());
    }
  }
  return files;
}

// {"errors": [{"code": "X", "message": "..."}]}
std::string reason_in(const std::string& text, int status) {
  try {
    for (const JsonValue& error : JsonValue::parse(text, "answer").items_of("errors")) {
      const std::string message = error.text_of("message");
      return base::printable(message.empty() ? error.text_of("code") : message);
    }
  } catch (const base::Error&) {
    // An answer of some proxy on the way; its status must do.
  }
  return base::cat("HTTP status ", status);
}

// Waits twice as long after each failure in a row.
void pause_after(int attempt) { std::this_thread::sleep_for(kFirstPause * (1 << (attempt - 1))); }

}  // namespace

// A blob on its way.
struct RegistryClient::Partial {
  std::shared_ptr<const base::UniqueFd> file;
  std::atomic<std::uint64_t>& count;
  std::uint64_t limit;
  std::uint64_t size = 0;
  Sha256 hash{};
};

RegistryClient::RegistryClient(RegistryReference reference, const RegistryOptions& options)
    : reference_(std::move(reference)),
      base_(net::parse_authority(options.no_https ? "http" : "https", reference_.authority)),
      credentials_(find_credentials(reference_.authority, reference_.repository, options.auth)) {
  trust_.files = certificates_of(reference_.authority);
}

net::Url RegistryClient::url_of(std::string_view kind, std::string_view name) const {
  net::Url url = base_;
  url.target = base::cat("/v2/", reference_.repository, "/", kind, "/", name);
  return url;
}

RegistryClient::Answer RegistryClient::send(const net::Request& request,
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

// Blobs often lie elsewhere: in a store that must not see what is meant for the registry.
RegistryClient::Answer RegistryClient::follow(const std::string& method, net::Url url,
                                              const net::Fields& fields,
                                              const std::string& authorization) const {
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    net::Request request{.method = method, .fields = fields};
    if (!authorization.empty() && url.has_origin_of(base_))
      request.fields.emplace_back("Authorization", authorization);
    Answer response = send(request, url);
    if (!is_redirect(response->status())) return response;
    const std::optional<std::string> location = response->find("location");
    if (!location) throw base::error(url.host, " redirects to nowhere");
    const net::Url next = net::resolve_url(url, *location);
    if (url.scheme == "https" && next.scheme == "http")
      throw base::error(url.host, " redirects from https to http, which is refused");
    url = next;
  }
  throw base::error(base_.host, " redirects more than ", kMaxRedirects, " times");
}

RegistryClient::Answer RegistryClient::get(const std::string& method, const net::Url& url,
                                           const net::Fields& fields) {
  std::string authorization;
  {
    const std::lock_guard lock(mutex_);
    authorization = authorization_;
  }
  Answer response = follow(method, url, fields, authorization);
  if (response->status() != 401) return response;
  // Not yet known, or a token that has expired. Threads that meet this at once each get their own.
  authorization = authorize(*response);
  {
    const std::lock_guard lock(mutex_);
    authorization_ = authorization;
  }
  return follow(method, url, fields, authorization);
}

std::string RegistryClient::authorize(const net::Response& refusal) const {
  for (const std::string& field : refusal.all("www-authenticate")) {
    const std::optional<Challenge> challenge = parse_challenge(field);
    if (!challenge) continue;
    if (challenge->scheme == "bearer") return "Bearer " + fetch_token(*challenge);
    if (challenge->scheme == "basic" && credentials_ && !credentials_->user.empty())
      return net::basic_authorization(credentials_->user, credentials_->password);
  }
  throw base::error("the registry ", base_.authority(), " wants to know who you are")
      .with_hint(
          "docker login or podman login, --authfile, or APPTAINER_DOCKER_USERNAME and "
          "APPTAINER_DOCKER_PASSWORD");
}

std::string RegistryClient::fetch_token(const Challenge& challenge) const {
  const auto parameter = [&](const std::string& name) {
    const auto found = challenge.parameters.find(name);
    return found == challenge.parameters.end() ? "" : found->second;
  };
  net::Url url = net::parse_url(parameter("realm"));
  if (base_.scheme == "https" && url.scheme == "http")
    throw base::error("the token server ", url.text(), " has no https, which is refused");
  std::string question = base::cat("service=", net::percent_encoded(parameter("service")));
  if (!reference_.repository.empty()) {
    question +=
        "&scope=" + net::percent_encoded("repository:" + reference_.repository + ":pull");
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
  const Answer response = send(request, url);
  const std::string text = response->read_text(kMaxToken);
  if (response->status() != 200) {
    throw base::error("the token server ", url.authority(),
                      " refuses: ", reason_in(text, response->status()))
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
  throw base::Error(
      base::cat("the registry ", base_.authority(), " ", base::printable(what), ": ", reason),
      is_passing(status) ? EAGAIN : 0);
}

void RegistryClient::check_login() {
  net::Url url = base_;
  url.target = "/v2/";
  const Answer response = get("GET", url, {});
  if (response->status() != 200) refuse(*response, "does not take the login");
}

Manifest RegistryClient::manifest(const std::string& version) {
  const Answer response =
      get("GET", url_of("manifests", version), {{"Accept", std::string(kManifestTypes)}});
  if (response->status() != 200) refuse(*response, "does not give " + reference_.text);
  Manifest found;
  found.text = response->read_text(kMaxJsonSize);
  found.digest = sha256_digest(found.text);
  found.media_type = response->find("content-type").value_or("");
  if (version.starts_with("sha256:") && version != found.digest) {
    throw base::error("the manifest ", version, " from ", base_.authority(),
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

void RegistryClient::continue_blob(const std::string& digest, Partial& partial) {
  net::Fields fields;
  if (partial.size > 0) fields.emplace_back("Range", base::cat("bytes=", partial.size, "-"));
  const Answer response = get("GET", url_of("blobs", digest), fields);
  if (response->status() == 200 && partial.size > 0) {  // it knows no ranges
    partial.count -= partial.size;
    partial.size = 0;
    partial.hash = Sha256();
    if (::ftruncate(partial.file->get(), 0) != 0)
      throw base::errno_error(errno, "cannot cut a temporary file");
  } else if (response->status() != (partial.size > 0 ? 206 : 200)) {
    refuse(*response, "does not give " + digest);
  }
  std::vector<std::byte> chunk(kChunk);
  const auto capacity = [&] {
    return std::min<std::uint64_t>(chunk.size(), partial.limit + 1 - partial.size);
  };
  // One piece more than allowed shows that there is too much.
  for (std::size_t count; (count = response->read_some(std::span(chunk).first(capacity()))) > 0;) {
    if (partial.size + count > partial.limit)
      throw base::error("the blob ", digest, " has more than the ", partial.limit,
                        " bytes that its manifest promises");
    base::pwrite_all(partial.file->get(), std::span(chunk).first(count), partial.size,
                     "a temporary file");
    partial.hash.update(std::span(chunk).first(count));
    partial.size += count;
    partial.count += count;
  }
}

FileSource RegistryClient::blob(const std::string& digest, std::uint64_t limit,
                                const std::string& folder, std::atomic<std::uint64_t>& count) {
  Partial partial{std::make_shared<const base::UniqueFd>(base::make_unnamed_file(folder)), count,
                  limit};
  for (int attempt = 0;;) {
    const std::uint64_t before = partial.size;
    try {
      continue_blob(digest, partial);
      break;
    } catch (const base::Error& problem) {
      // Whatever is no failure of the connection or of a busy server stays as it is.
      const int cause = problem.errno_value();
      if (cause == 0 || cause == EPROTO || cause == ENOSPC || cause == EFBIG || cause == EDQUOT)
        throw;
      attempt = partial.size > before ? 1 : attempt + 1;
      if (attempt >= kMaxAttempts) throw;
      base::log_verbose(problem.what(), "; trying again");
      pause_after(attempt);
    }
  }
  if (const std::string actual = partial.hash.digest(); actual != digest) {
    throw base::error("the blob ", digest, " from ", base_.authority(),
                      " is corrupt: its digest is ", actual);
  }
  return {partial.file, 0, partial.size, digest};
}

}  // namespace oci
