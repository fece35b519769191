// SPDX-License-Identifier: Apache-2.0
#include "oci/login_file.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "base/error.h"
#include "base/output_file.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "oci/credential_helper.h"
#include "oci/json.h"
#include "oci/registry_auth.h"
#include "sif/signature_key.h"

namespace oci {
namespace {

using nlohmann::ordered_json;

constexpr mode_t kSecret = 0600;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The text of a file that is not there is that of an empty one.
std::string text_of(const std::string& file) {
  const std::string text = base::find_small_file(file).value_or("");
  return base::trimmed(text).empty() ? "{}" : text;
}

ordered_json parse(const std::string& text, const std::string& file) {
  const std::optional<JsonValue> auths = JsonValue::parse(text, file).find("auths");
  if (auths) static_cast<void>(auths->members());  // throws unless it is an object
  ordered_json document = ordered_json::parse(text);
  if (document["auths"].is_null()) document["auths"] = ordered_json::object();
  return document;
}

// Where links lead to, so that they stay.
std::string real_file(const std::string& file) {
  std::error_code absent;
  const std::filesystem::path real = std::filesystem::canonical(file, absent);
  return absent ? file : real.string();
}

void write(const std::string& file, const ordered_json& document) {
  const std::string target = real_file(file);
  const std::filesystem::path folder = std::filesystem::path(target).parent_path();
  std::error_code problem;
  if (!folder.empty() && std::filesystem::create_directories(folder, problem))
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, problem);
  base::AtomicOutputFile output(target, kSecret, base::Existing::replace);
  base::write_all(output.fd(), indented_json(document), target);
  output.commit();
}

// All names of the registry, so that an older login under another one does not win.
bool erase_entries(ordered_json& document, const std::string& authority) {
  bool found = false;
  for (const std::string& key : login_keys(authority)) found |= document["auths"].erase(key) > 0;
  return found;
}

}  // namespace

std::string login_file() {
  const std::string home = variable("HOME"), own = variable("APPTAINER_CONFIGDIR"),
                    docker = variable("DOCKER_CONFIG");
  if (home.empty() && own.empty() && docker.empty()) {
    throw base::error("there is no place for logins: HOME is not set")
        .with_hint("--authfile names a file");
  }
  const std::string first = (own.empty() ? home + "/.apptainer" : own) + "/docker-config.json";
  if (::access(first.c_str(), F_OK) == 0) return first;
  if (!own.empty()) return own + "/config.json";
  return (docker.empty() ? home + "/.docker" : docker) + "/config.json";
}

void store_login(const std::string& file, const std::string& authority, const std::string& user,
                 const std::string& password) {
  const std::string text = text_of(file);
  ordered_json document = parse(text, file);
  erase_entries(document, authority);
  ordered_json entry = ordered_json::object();
  if (const auto helper = find_credential_helper(text, file, authority)) {
    store_in_helper(*helper, user, password);
  } else {
    entry["auth"] = sif::base64(base::cat(user, ":", password));
  }
  document["auths"][login_keys(authority).front()] = std::move(entry);
  write(file, document);
}

bool remove_login(const std::string& file, const std::string& authority) {
  const std::string text = text_of(file);
  ordered_json document = parse(text, file);
  if (!erase_entries(document, authority)) return false;
  if (const auto helper = find_credential_helper(text, file, authority)) erase_in_helper(*helper);
  write(file, document);
  return true;
}

std::vector<std::string> list_logins(const std::string& file) {
  const ordered_json document = parse(text_of(file), file);
  const std::vector<std::string> hub = login_keys(std::string(kDockerHub));
  std::vector<std::string> names;
  for (const auto& [name, entry] : document["auths"].items())
    names.push_back(std::ranges::find(hub, name) == hub.end() ? name : "docker.io");
  return names;
}

}  // namespace oci
