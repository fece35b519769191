// SPDX-License-Identifier: Apache-2.0
#include "oci/registry_auth.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/base64.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "oci/credential_helper.h"
#include "oci/json.h"

namespace oci {
namespace {

constexpr std::size_t kMaxChallenge = 16 << 10;
// What Docker's login files call its own registry.
constexpr std::array<std::string_view, 3> kHubKeys = {"https://index.docker.io/v1/", "docker.io",
                                                      "index.docker.io"};

std::string variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}

std::optional<Credentials> from_environment() {
  for (const std::string prefix : {"APPTAINER_DOCKER_", "SINGULARITY_DOCKER_", "DOCKER_"}) {
    Credentials found{variable(prefix + "USERNAME"), variable(prefix + "PASSWORD")};
    if (!found.user.empty() && !found.password.empty()) return found;
  }
  return std::nullopt;
}

// Podman's files may have an entry for a part of a registry: the longest match first.
std::vector<std::string> keys_of(const std::string& authority, const std::string& repository) {
  std::vector<std::string> keys;
  std::string key = authority + "/" + repository;
  for (;;) {
    keys.push_back(key);
    key.resize(key.rfind('/'));
    if (key == authority) break;
  }
  const std::vector<std::string> whole = login_keys(authority);
  keys.insert(keys.end(), whole.begin(), whole.end());
  return keys;
}

std::optional<Credentials> credentials_of(const JsonValue& entry) {
  Credentials found;
  found.identity_token = entry.text_of("identitytoken");
  const std::optional<std::string> both = base::find_base64(entry.text_of("auth"));
  const std::size_t colon = both ? both->find(':') : std::string::npos;
  if (colon != std::string::npos) {
    found.user = both->substr(0, colon);
    found.password = both->substr(colon + 1);
  }
  if (found.identity_token.empty() && found.user.empty()) return std::nullopt;
  return found;
}

// The helper's answer, else what the file has itself.
std::optional<Credentials> find_in(std::string_view text, const std::string& file,
                                   const std::string& authority, const std::string& repository) {
  if (const auto helper = find_credential_helper(text, file, authority)) {
    if (auto found = ask_credential_helper(*helper)) return found;
  }
  return find_in_auth_file(text, file, authority, repository);
}

bool is_token(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

// Reads the challenge from its beginning to its end.
class ChallengeReader {
 public:
  explicit ChallengeReader(std::string_view text) : text_(text) {}
  void skip(std::string_view characters) {
    text_.remove_prefix(std::min(text_.find_first_not_of(characters), text_.size()));
  }
  std::string token() {
    const auto* const end = std::find_if_not(text_.begin(), text_.end(), is_token);
    const auto size = static_cast<std::size_t>(end - text_.begin());
    std::string found(text_.substr(0, size));
    text_.remove_prefix(size);
    return found;
  }
  bool take(char c) {
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  std::optional<std::string> quoted() {
    std::string found;
    while (!text_.empty()) {
      const char c = text_.front();
      text_.remove_prefix(1);
      if (c == '"') return found;
      if (c == '\\' && !text_.empty()) {
        found += text_.front();
        text_.remove_prefix(1);
      } else {
        found += c;
      }
    }
    return std::nullopt;
  }
  bool at_end() const { return text_.empty(); }

 private:
  std::string_view text_;
};

}  // namespace

std::string registry_authority(std::string_view name) {
  const bool is_hub = name.empty() || std::ranges::find(kHubKeys, name) != kHubKeys.end();
  return std::string(is_hub ? kDockerHub : name);
}

std::vector<std::string> login_keys(const std::string& authority) {
  std::vector<std::string> keys;
  if (authority == kDockerHub) keys.assign(kHubKeys.begin(), kHubKeys.end());
  keys.push_back(authority);
  for (const char* scheme : {"https://", "http://"}) {
    keys.push_back(scheme + authority);
    keys.push_back(scheme + authority + "/");
  }
  return keys;
}

std::vector<std::string> usual_auth_files() {
  std::vector<std::string> files;
  const std::string home = variable("HOME");
  const auto add = [&](const std::string& folder, const std::string& name) {
    if (!folder.empty()) files.push_back(folder + name);
  };
  add(variable("REGISTRY_AUTH_FILE"), "");
  for (const char* own : {"APPTAINER_CONFIGDIR", "SINGULARITY_CONFIGDIR"}) {
    add(variable(own), "/docker-config.json");
    add(variable(own), "/config.json");
  }
  add(home, "/.apptainer/docker-config.json");
  add(variable("XDG_RUNTIME_DIR"), "/containers/auth.json");
  add(home, "/.config/containers/auth.json");
  const std::string docker = variable("DOCKER_CONFIG");
  add(docker.empty() ? (home.empty() ? "" : home + "/.docker") : docker, "/config.json");
  return files;
}

std::optional<Credentials> find_credentials(const std::string& authority,
                                            const std::string& repository, const AuthFiles& files) {
  if (std::optional<Credentials> found = from_environment()) return found;
  if (!files.named.empty())
    return find_in(base::read_small_file(files.named), files.named, authority, repository);
  for (const std::string& file : files.usual) {
    try {
      const std::optional<std::string> text = base::find_small_file(file);
      if (!text) continue;
      if (auto found = find_in(*text, file, authority, repository)) return found;
    } catch (const base::Error& problem) {
      base::log_warning("ignoring ", problem.what());
    }
  }
  return std::nullopt;
}

std::optional<Credentials> find_in_auth_file(std::string_view text, const std::string& name,
                                             const std::string& authority,
                                             const std::string& repository) {
  const std::optional<JsonValue> auths = JsonValue::parse(text, name).find("auths");
  if (!auths) return std::nullopt;
  for (const std::string& key : keys_of(authority, repository)) {
    if (const std::optional<JsonValue> entry = auths->find(key)) {
      if (std::optional<Credentials> found = credentials_of(*entry)) return found;
    }
  }
  return std::nullopt;
}

std::optional<CredentialHelper> find_credential_helper(std::string_view text,
                                                       const std::string& name,
                                                       const std::string& authority) {
  const JsonValue file = JsonValue::parse(text, name);
  CredentialHelper helper{file.text_of("credsStore"), login_keys(authority).front()};
  if (const std::optional<JsonValue> own = file.find("credHelpers")) {
    for (const std::string& key : login_keys(authority)) {
      const std::string program = own->text_of(key);
      if (program.empty()) continue;
      helper = {program, key};
      break;
    }
  }
  // It is looked for in the PATH, and nowhere else.
  if (helper.program.empty() || !std::ranges::all_of(helper.program, is_token)) return std::nullopt;
  helper.program.insert(0, "docker-credential-");
  return helper;
}

std::optional<Challenge> parse_challenge(std::string_view text) {
  if (text.size() > kMaxChallenge) return std::nullopt;
  ChallengeReader reader(text);
  reader.skip(" \t");
  Challenge challenge{base::lower_case(reader.token()), {}};
  if (challenge.scheme.empty()) return std::nullopt;
  for (reader.skip(" \t,"); !reader.at_end(); reader.skip(" \t,")) {
    const std::string key = base::lower_case(reader.token());
    if (key.empty() || !reader.take('=')) return std::nullopt;
    std::optional<std::string> value = reader.take('"') ? reader.quoted() : reader.token();
    if (!value) return std::nullopt;
    challenge.parameters[key] = *std::move(value);
  }
  return challenge;
}

}  // namespace oci
