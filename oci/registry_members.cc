// SPDX-License-Identifier: Apache-2.0
#include "oci/registry_members.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/launch_policy.h"
#include "base/output_file.h"
#include "base/syscalls.h"
#include "oci/digest.h"
#include "oci/docker_archive.h"
#include "oci/json.h"

namespace oci {
namespace {

constexpr std::string_view kIndex = "index.json";

// The layout's index.json, which a registry does not have.
std::string index_of(const Manifest& manifest, const std::string& reference) {
  const nlohmann::json descriptor = {{"mediaType", manifest.media_type},
                                     {"digest", manifest.digest},
                                     {"size", manifest.text.size()},
                                     {"annotations", {{"io.containerd.image.name", reference}}}};
  return nlohmann::json{{"schemaVersion", 2}, {"manifests", {descriptor}}}.dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

RegistryMembers::RegistryMembers(RegistryReference reference, const RegistryOptions& options,
                                 std::string folder, std::atomic<std::uint64_t>& read_done,
                                 std::atomic<std::uint64_t>& read_total)
    : client_(std::move(reference), options),
      name_("docker://" + client_.reference().text),
      folder_(std::move(folder)),
      read_done_(read_done),
      read_total_(read_total) {
  const Manifest manifest = client_.manifest(client_.reference().version());
  index_ = index_of(manifest, client_.reference().text);
  note_document(manifest.text);
  fetched_.emplace(manifest.digest, text_source(manifest.text, manifest.digest));
}

// What is no index.json is a blob by its digest; whether the registry has it shows when it is
// fetched.
bool RegistryMembers::contains(const std::string& path) const {
  return path == kIndex || !promised_digest(path).empty();
}

FileSource RegistryMembers::text_source(const std::string& text, const std::string& name) const {
  auto file = std::make_shared<const base::UniqueFd>(base::make_unnamed_file(folder_));
  base::write_all(file->get(), text, "a temporary file");
  return {std::move(file), 0, text.size(), name_ + ": " + name};
}

// Sizes limit what is downloaded.
void RegistryMembers::note_document(const std::string& text) const {
  const JsonValue document = JsonValue::parse(text, name_ + ": manifest");
  for (const JsonValue& item : document.items_of("manifests"))
    manifests_.insert(item.text_of("digest"));
  std::vector<JsonValue> blobs = document.items_of("layers");
  if (const std::optional<JsonValue> config = document.find("config")) blobs.push_back(*config);
  for (const JsonValue& blob : blobs) {
    const std::optional<JsonValue> size = blob.find("size");
    if (!size || !size->raw().is_number_unsigned()) continue;
    const auto bytes = size->raw().get<std::uint64_t>();
    if (bytes > kMaxBlobSize)
      throw base::error(document.place(), ": a blob of ", bytes, " bytes, more than ",
                        kMaxBlobSize);
    sizes_[blob.text_of("digest")] = bytes;
  }
}

FileSource RegistryMembers::fetch(const std::string& digest) const {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = fetched_.find(digest); known != fetched_.end()) return known->second;
  }
  const auto size = sizes_.find(digest);
  const FileSource blob =
      client_.blob(digest, size == sizes_.end() ? kMaxBlobSize : size->second, folder_, read_done_);
  size_ += blob.size();
  const std::lock_guard lock(mutex_);
  return fetched_.emplace(digest, blob).first->second;
}

FileSource RegistryMembers::open(const std::string& path, std::string_view what,
                                 std::string_view document) const {
  if (path == kIndex) return text_source(index_, std::string(kIndex));
  const std::string digest = promised_digest(path);
  if (digest.empty()) {
    throw base::error(name_, ": ", document, " names ", what, " ", base::printable(path),
                      ", which is no digest");
  }
  if (!manifests_.contains(digest)) return fetch(digest);
  const Manifest manifest = client_.manifest(digest);
  note_document(manifest.text);
  return text_source(manifest.text, digest);
}

void RegistryMembers::expect(const std::vector<std::string>& paths) const {
  std::set<std::string> unique;
  for (const std::string& path : paths) {
    const std::string digest = promised_digest(path);
    if (digest.empty() || !unique.insert(digest).second) continue;
    if (const auto size = sizes_.find(digest); size != sizes_.end()) read_total_ += size->second;
  }
  const std::vector<std::string> wanted(unique.begin(), unique.end());
  std::atomic<std::size_t> next{0};
  std::vector<std::future<void>> workers;
  for (std::size_t i = 0; i < std::min(kParallelDownloads, wanted.size()); ++i) {
    workers.push_back(std::async(base::kThreadIfPossible, [&] {
      try {
        for (std::size_t job; (job = next++) < wanted.size();) fetch(wanted[job]);
      } catch (...) {
        next = wanted.size();  // the others need not begin anything more
        throw;
      }
    }));
  }
  for (std::future<void>& worker : workers) worker.get();
}

}  // namespace oci
