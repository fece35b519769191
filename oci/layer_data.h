// SPDX-License-Identifier: Apache-2.0
// The uncompressed tar of each layer, and the proof that it is the one the image's configuration
// names. Compressed layers are inflated into nameless files, several at once, and hashed on the
// way; plain ones are read in place and hashed in the background.
#pragma once

#include <atomic>
#include <cstdint>
#include <future>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "oci/docker_archive.h"
#include "oci/progress.h"

namespace oci {

class LayerData {
 public:
  // Inflates what is compressed; throws Error when a digest is wrong. From then on the plain layers
  // are being hashed. `members`, and `blobs` of them, are borrowed.
  LayerData(const ImageMembers& members, const std::vector<LayerBlob>& blobs,
            const std::string& spool_folder, unsigned threads, ConvertProgress& progress);
  LayerData(const LayerData&) = delete;
  LayerData& operator=(const LayerData&) = delete;
  ~LayerData() { stop(); }

  // Valid as long as this object.
  const FileSource& tar(const LayerBlob& blob) const;

  // Waits for the digests of the plain layers; throws Error when one is wrong. Once only; returns
  // early once stop() was called.
  void verify_plain_layers() { hashing_.get(); }
  void stop() { stop_ = true; }

 private:
  struct Inflated {
    FileSource tar;
    std::string diff_id, blob_digest;  // as computed
  };
  static void inflate(const LayerBlob& blob, Inflated& target, const std::string& spool_folder,
                      ConvertProgress& progress);
  void hash_plain_layers() const;

  const ImageMembers& members_;
  const std::vector<LayerBlob>& blobs_;
  // Layers may share a blob, which is inflated and hashed once.
  using Place = std::pair<const void*, std::uint64_t>;
  std::map<Place, const LayerBlob*> plain_;
  std::map<Place, Inflated> inflated_;
  std::atomic<bool> stop_{false};
  std::future<void> hashing_;  // last: it uses the others
};

}  // namespace oci
