// SPDX-License-Identifier: Apache-2.0
#include "oci/member_hasher.h"

#include <algorithm>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"
#include "oci/digest.h"

namespace oci {
namespace {

constexpr std::size_t kMaxDigests = 10'000;
constexpr std::uint64_t kUnknownSize = std::uint64_t{1} << 62;

// Waits for what is read. Zeros follow, which is how tar archives end.
class ArrivingData : public sif::DataSource {
 public:
  explicit ArrivingData(const SpoolFile& file) : file_(file) {}
  void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    std::ranges::fill(out.subspan(file_.read(offset, out)), std::byte{0});
  }

 private:
  const SpoolFile& file_;
};

}  // namespace

MemberHasher::MemberHasher(std::shared_ptr<SpoolFile> archive) : archive_(std::move(archive)) {
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    has_ended_ = true;  // a process limit
  }
}

MemberHasher::~MemberHasher() {
  stop_ = true;
  archive_->end();
  if (thread_.joinable()) thread_.join();
}

std::string MemberHasher::digest(std::uint64_t offset) const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return has_ended_ || digests_.contains(offset); });
  const auto found = digests_.find(offset);
  return found == digests_.end() ? "" : found->second;
}

void MemberHasher::run() {
  try {
    hash_members();
  } catch (const std::exception&) {
    // Damage is told by whoever reads the archive as a whole.
  }
  {
    const std::lock_guard lock(mutex_);
    has_ended_ = true;
  }
  changed_.notify_all();
}

void MemberHasher::hash_members() {
  const ArrivingData data(*archive_);
  TarReader reader(data, kUnknownSize, "");
  std::vector<std::byte> memory(kHashChunk);
  for (std::size_t count = 0; count < kMaxDigests; ++count) {
    const std::optional<TarEntry> entry = reader.next();
    if (!entry) return;
    std::optional<std::string> digest = hash(*entry, memory);
    if (!digest) return;
    {
      const std::lock_guard lock(mutex_);
      digests_.emplace(entry->data_offset, *std::move(digest));
    }
    changed_.notify_all();
  }
}

// nullopt: the archive ends first, or stopped.
std::optional<std::string> MemberHasher::hash(const TarEntry& entry,
                                              std::span<std::byte> memory) const {
  Sha256 hash;
  for (std::uint64_t done = 0; done < entry.size && !stop_;) {
    const auto chunk = memory.first(std::min<std::uint64_t>(memory.size(), entry.size - done));
    if (archive_->read(entry.data_offset + done, chunk) < chunk.size()) return std::nullopt;
    hash.update(chunk);
    done += chunk.size();
  }
  if (stop_) return std::nullopt;
  return hash.digest();
}

}  // namespace oci
