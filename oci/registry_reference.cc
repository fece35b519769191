// SPDX-License-Identifier: Apache-2.0
// Names of images in registries, by the rules of Docker's reference grammar.
#include <algorithm>

#include "base/error.h"
#include "oci/digest.h"
#include "oci/docker_archive.h"
#include "oci/registry_auth.h"
#include "oci/registry_client.h"

namespace oci {
namespace {

constexpr std::size_t kMaxName = 255;
constexpr std::size_t kMaxTag = 128;

bool is_lower_alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); }

bool is_repository(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName && is_lower_alphanumeric(text.front()) &&
         is_lower_alphanumeric(text.back()) && text.find("//") == std::string_view::npos &&
         text.find("..") == std::string_view::npos && std::ranges::all_of(text, [](char c) {
           return is_lower_alphanumeric(c) || c == '.' || c == '_' || c == '-' || c == '/';
         });
}

bool is_tag(std::string_view text) {
  return !text.empty() && text.size() <= kMaxTag && text.front() != '.' && text.front() != '-' &&
         std::ranges::all_of(text, [](char c) {
           return is_lower_alphanumeric(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' ||
                  c == '-';
         });
}

bool is_registry(std::string_view first) {
  return first == "localhost" || first.find_first_of(".:") != std::string_view::npos;
}

}  // namespace

RegistryReference parse_registry(std::string_view text) {
  if (text.find_first_of("/@") != std::string_view::npos)
    throw base::error(base::printable(text), " is no registry: HOST or HOST:PORT is needed");
  return {.authority = registry_authority(text), .repository = "", .tag = "", .text = ""};
}

RegistryReference parse_reference(std::string_view text) {
  const std::string whole = base::printable(text);
  RegistryReference found;
  std::string_view rest = text;
  if (const std::size_t at = rest.find('@'); at != std::string_view::npos) {
    found.digest = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (!is_sha256_digest(found.digest))
      throw base::error("docker://", whole, ": what follows @ is no sha256 digest");
  }
  const std::size_t slash = rest.find('/');
  if (slash != std::string_view::npos && is_registry(rest.substr(0, slash))) {
    found.authority = rest.substr(0, slash);
    rest = rest.substr(slash + 1);
  }
  found.authority = registry_authority(found.authority);
  const std::size_t colon = rest.rfind(':');
  found.tag = colon == std::string_view::npos ? "latest" : rest.substr(colon + 1);
  found.repository = rest.substr(0, colon);
  if (found.authority == kDockerHub && found.repository.find('/') == std::string::npos)
    found.repository.insert(0, "library/");
  if (!is_repository(found.repository) || !is_tag(found.tag))
    throw base::error("docker://", whole, " names no image: docker://[HOST/]NAME[:TAG] is needed");
  found.text = short_reference(text);
  return found;
}

}  // namespace oci
