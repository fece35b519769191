// SPDX-License-Identifier: Apache-2.0
#include "oci/login_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "base/base64.h"
#include "base/error.h"
#include "base/output_file.h"
#include "base/path_walk.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "oci/credential_helper.h"
#include "oci/json.h"
#include "oci/registry_auth.h"

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
  const std::optional<struct stat> status = base::find_status(file);
  if (status && !S_ISREG(status->st_mode))
    throw base::error(base::printable(file), " is no regular file");
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
std::string real_file(std::string file) {
  for (int hop = 0; hop < base::kMaxLinks; ++hop) {
    const std::optional<std::string> target = base::find_link_target(file);
    if (!target) return file;
    file = std::filesystem::path(file).parent_path() / *target;
  }
  throw base::error("too many links: ", base::printable(file));
}

// While it lives, nobody else changes the file: what they had read would be old. Where the file
// system has no locks, the last one wins.
base::UniqueFd lock_folder(const std::string& file) {
  const std::filesystem::path folder = std::filesystem::path(file).parent_path();
  std::error_code problem;
  if (!folder.empty() && std::filesystem::create_directories(folder, problem))
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, problem);
  base::UniqueFd lock =
      base::open_file(folder.empty() ? "." : folder.string(), O_RDONLY | O_DIRECTORY);
  ::flock(lock.get(), LOCK_EX);
  return lock;
}

void write(const std::string& target, const ordered_json& document) {
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
  const std::string home = variable("HOME"), docker = variable("DOCKER_CONFIG");
  std::string own = variable("APPTAINER_CONFIGDIR");
  if (own.empty()) own = variable("SINGULARITY_CONFIGDIR");
  if (home.empty() && own.empty() && docker.empty()) {
    throw base::error("there is no place for logins: HOME is not set")
        .with_hint("--authfile names a file");
  }
  const std::string first = (own.empty() ? home + "/.apptainer" : own) + "/docker-config.json";
  if (::access(first.c_str(), F_OK) == 0) return first;
  if (!own.empty()) return own + "/config.json";
  return (docker.empty() ? home + "/.docker" : docker) + "/config.json";
}

void store_login(const std::string& name, const std::string& authority, const std::string& user,
                 const std::string& password) {
  const std::string file = real_file(name);
  const base::UniqueFd lock = lock_folder(file);
  const std::string text = text_of(file);
  ordered_json document = parse(text, file);
  erase_entries(document, authority);
  ordered_json entry = ordered_json::object();
  if (const auto helper = find_credential_helper(text, file, authority)) {
    store_in_helper(*helper, user, password);
  } else {
    entry["auth"] = base::base64(base::cat(user, ":", password));
  }
  document["auths"][login_keys(authority).front()] = std::move(entry);
  write(file, document);
}

bool remove_login(const std::string& name, const std::string& authority) {
  const std::string file = real_file(name);
  if (!base::find_status(file)) return false;
  const base::UniqueFd lock = lock_folder(file);
  const std::string text = text_of(file);
  ordered_json document = parse(text, file);
  const auto helper = find_credential_helper(text, file, authority);
  const bool was_kept = helper && erase_in_helper(*helper);
  if (!erase_entries(document, authority)) return was_kept;
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
