// SPDX-License-Identifier: Apache-2.0
// The members of an image archive by name. The archive is hostile: no name leads out of it, links
// are followed a bounded number of times.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "oci/image_members.h"
#include "oci/member_hasher.h"

namespace oci {

inline constexpr std::size_t kMaxArchiveMembers = 1'000'000;

class ArchiveMembers : public ImageMembers {
 public:
  // Reads all headers of the uncompressed tar archive. Throws when it is none, and when it lacks
  // the end-of-archive marker, which a copy that was cut short at a member's end does.
  // `hasher` is at work on the same archive.
  explicit ArchiveMembers(FileSource archive, std::unique_ptr<MemberHasher> hasher = nullptr);

  const std::string& name() const override { return archive_.name(); }
  bool contains(const std::string& path) const override;
  // Links are followed; throws for a loop of them, too.
  FileSource open(const std::string& path, std::string_view what,
                  std::string_view document) const override;
  std::string computed_digest(const FileSource& member) const override;
  std::uint64_t size() const override { return archive_.size(); }

 private:
  struct Member {
    std::uint64_t offset = 0, size = 0;
    bool is_file = false;
    bool is_sparse = false;
    std::string link_target{};  // path in the archive, not empty: this is a link
  };

  FileSource archive_;
  std::unique_ptr<MemberHasher> hasher_;
  std::map<std::string, Member, std::less<>> members_;
};

}  // namespace oci
