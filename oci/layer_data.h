// SPDX-License-Identifier: Apache-2.0
// The uncompressed tar of each layer, and the proof that it is the one the image's configuration
// names. Compressed layers are inflated into nameless files, several at once, and hashed on the
// way; plain ones are read in place and hashed in the background.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "oci/docker_archive.h"
#include "oci/progress.h"

namespace oci {

class LayerData {
 public:
  // Inflates what is compressed; throws Error when a digest is wrong. `members`, and `blobs` of
  // them, are borrowed.
  LayerData(const ImageMembers& members, const std::vector<LayerBlob>& blobs,
            const std::string& spool_folder, unsigned threads, ConvertProgress& progress);
  LayerData(const LayerData&) = delete;
  LayerData& operator=(const LayerData&) = delete;

  // Valid as long as this object.
  const FileSource& tar(const LayerBlob& blob) const;

  // Hashes the plain layers, unless that has been done; throws Error when a digest is wrong. To be
  // run in a thread of its own; returns early once stop() was called.
  void verify_plain_layers() const;
  void stop() { stop_ = true; }

 private:
  struct Inflated {
    FileSource tar;
    std::string diff_id, blob_digest;  // as computed
  };
  static void inflate(const LayerBlob& blob, Inflated& target, const std::string& spool_folder,
                      ConvertProgress& progress);

  const ImageMembers& members_;
  const std::vector<LayerBlob>& blobs_;
  // Layers may share a blob, which is inflated and hashed once.
  using Place = std::pair<const void*, std::uint64_t>;
  std::map<Place, const LayerBlob*> plain_;
  std::map<Place, Inflated> inflated_;
  std::atomic<bool> stop_{false};
};

}  // namespace oci
