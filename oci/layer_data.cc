// SPDX-License-Identifier: Apache-2.0
#include "oci/layer_data.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/error.h"
#include "base/launch_policy.h"
#include "oci/digest.h"
#include "oci/spool_file.h"

namespace oci {
namespace {

// Each may hold a zstd window of 128 MiB.
constexpr std::size_t kMaxParallelInflates = 3;

void require_digest(const LayerBlob& blob, std::string_view kind, const std::string& expected,
                    const std::string& actual) {
  if (expected.empty() || expected == actual) return;
  throw base::error(base::printable(blob.name), " is corrupt: its ", kind, " is ", actual,
                    ", expected ", expected);
}

// Hands out the bytes of a stored blob in order and hashes them.
class HashedStream {
 public:
  explicit HashedStream(const FileSource& source) : source_(source) {}
  std::size_t read(std::span<std::byte> out) {
    const std::size_t count = std::min<std::uint64_t>(out.size(), source_.size() - position_);
    source_.read_at(position_, out.first(count));
    hash_.update(out.first(count));
    position_ += count;
    return count;
  }
  std::string digest() { return hash_.digest(); }

 private:
  const FileSource& source_;
  Sha256 hash_;
  std::uint64_t position_ = 0;
};

}  // namespace

LayerData::LayerData(const ImageMembers& members, const std::vector<LayerBlob>& blobs,
                     const std::string& spool_folder, unsigned threads, ConvertProgress& progress)
    : members_(members), blobs_(blobs) {
  struct Job {
    const LayerBlob* blob;
    Inflated* target;
  };
  std::vector<Job> jobs;
  for (const LayerBlob& blob : blobs) {
    const Place place = blob.stored.place();
    if (blob.compression == Compression::none) {
      plain_.emplace(place, &blob);
      continue;
    }
    const auto [target, is_new] = inflated_.emplace(place, Inflated{blob.stored, "", ""});
    if (!is_new) continue;
    jobs.push_back({&blob, &target->second});
    progress.read_total += blob.stored.size();
  }
  // The largest first: it decides when the last one ends.
  std::ranges::stable_sort(jobs, std::ranges::greater{},
                           [](const Job& job) { return job.blob->stored.size(); });
  std::atomic<std::size_t> next{0};
  std::vector<std::future<void>> workers;
  for (std::size_t i = 0; i < std::min<std::size_t>({threads, jobs.size(), kMaxParallelInflates});
       ++i) {
    workers.push_back(std::async(base::kThreadIfPossible, [&] {
      for (std::size_t job; (job = next++) < jobs.size();)
        inflate(*jobs[job].blob, *jobs[job].target, spool_folder, progress);
    }));
  }
  for (std::future<void>& worker : workers) worker.get();
  for (const LayerBlob& blob : blobs) {
    const auto found = inflated_.find(blob.stored.place());
    if (found == inflated_.end()) continue;
    require_digest(blob, "digest", blob.blob_digest, found->second.blob_digest);
    require_digest(blob, "diff ID", blob.diff_id, found->second.diff_id);
  }
  hashing_ = std::async(base::kThreadIfPossible, [this] { hash_plain_layers(); });
}

void LayerData::inflate(const LayerBlob& blob, Inflated& target, const std::string& spool_folder,
                        ConvertProgress& progress) {
  HashedStream stored(blob.stored);
  const ReadStream input = [&](std::span<std::byte> out) {
    const std::size_t count = stored.read(out);
    progress.read_done += count;
    return count;
  };
  Sha256 hash;
  SpoolFile tar(spool_folder);
  tar.append_stream(inflated_stream(blob.compression, input, blob.name), &hash);
  target.tar = tar.source(blob.name);
  target.blob_digest = stored.digest();
  target.diff_id = hash.digest();
}

const FileSource& LayerData::tar(const LayerBlob& blob) const {
  const auto inflated = inflated_.find(blob.stored.place());
  return inflated == inflated_.end() ? blob.stored : inflated->second.tar;
}

void LayerData::hash_plain_layers() const {
  std::vector<std::byte> chunk(kHashChunk);
  std::map<Place, std::string> digests;
  for (const auto& [place, blob] : plain_) {
    std::string digest = members_.computed_digest(blob->stored);
    if (digest.empty()) {
      HashedStream stream(blob->stored);
      while (stream.read(chunk) > 0) {
        if (stop_) return;
      }
      digest = stream.digest();
    }
    digests.emplace(place, std::move(digest));
  }
  for (const LayerBlob& blob : blobs_) {
    const auto actual = digests.find(blob.stored.place());
    if (actual == digests.end()) continue;
    require_digest(blob, "diff ID", blob.diff_id, actual->second);
    require_digest(blob, "digest", blob.blob_digest, actual->second);
  }
}

}  // namespace oci
