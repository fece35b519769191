// SPDX-License-Identifier: Apache-2.0
// The digests of an image archive's members, computed while the archive arrives: the CPU would be
// idle then, and later it compresses.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>

#include "oci/spool_file.h"
#include "oci/tar_reader.h"

namespace oci {

class MemberHasher {
 public:
  // Starts a thread that reads behind the writing of `archive`, a tar archive.
  explicit MemberHasher(std::shared_ptr<SpoolFile> archive);
  // Ends the archive, and gives up what is not hashed yet.
  ~MemberHasher();
  MemberHasher(const MemberHasher&) = delete;
  MemberHasher& operator=(const MemberHasher&) = delete;

  // Of the member whose data is at `offset`; waits for it. Empty behind the first damage and for
  // the last of very many: whoever reads those must hash them. Thread-safe.
  std::string digest(std::uint64_t offset) const;

 private:
  void run();
  void hash_members();
  std::optional<std::string> hash(const TarEntry& entry, std::span<std::byte> memory) const;

  const std::shared_ptr<SpoolFile> archive_;
  std::atomic<bool> stop_ = false;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::map<std::uint64_t, std::string> digests_;
  bool has_ended_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace oci
