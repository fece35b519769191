// SPDX-License-Identifier: Apache-2.0
// An image in a registry, seen as the OCI layout that it would be in a folder. Documents are
// fetched when they are asked for, layers several at once.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "oci/image_members.h"
#include "oci/registry_client.h"

namespace oci {

inline constexpr std::uint64_t kMaxBlobSize = std::uint64_t{1} << 40;
inline constexpr std::size_t kParallelDownloads = 4;

class RegistryMembers : public ImageMembers {
 public:
  // `read_done` and `read_total` count bytes for the progress display.
  RegistryMembers(RegistryReference reference, const RegistryOptions& options, std::string folder,
                  std::atomic<std::uint64_t>& read_done, std::atomic<std::uint64_t>& read_total);

  const std::string& name() const override { return name_; }
  bool contains(const std::string& path) const override;
  FileSource open(const std::string& path, std::string_view what,
                  std::string_view document) const override;
  void expect(const std::vector<std::string>& paths) const override;
  std::uint64_t size() const override { return size_; }

 private:
  FileSource text_source(const std::string& text, const std::string& name) const;
  FileSource fetch(const std::string& digest) const;
  void note_document(const std::string& text) const;

  mutable RegistryClient client_;
  std::string name_, folder_;
  std::atomic<std::uint64_t>& read_done_;
  std::atomic<std::uint64_t>& read_total_;
  std::string index_;
  // What documents that were fetched say of others: which are manifests, how large blobs are.
  mutable std::set<std::string> manifests_;
  mutable std::map<std::string, std::uint64_t> sizes_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, FileSource> fetched_;  // guarded by mutex_
  mutable std::atomic<std::uint64_t> size_{0};
};

}  // namespace oci
