// SPDX-License-Identifier: Apache-2.0
// The members of an image archive by name. The archive and the names that its documents refer to
// are hostile: no name leads out of the archive, links are followed a bounded number of times.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "oci/file_source.h"

namespace oci {

inline constexpr std::size_t kMaxArchiveMembers = 1'000'000;

class ArchiveMembers {
 public:
  // Reads all headers of the uncompressed tar archive. Throws when it is none, and when it lacks
  // the end-of-archive marker, which a copy that was cut short at a member's end does.
  explicit ArchiveMembers(FileSource archive);

  const std::string& archive_name() const { return archive_.name(); }
  bool contains(const std::string& path) const;

  // The data of the regular file `path`, links followed. `what` and `document` say in messages who
  // wants it ("the layer", "manifest.json"). Throws when it is absent, leads out of the archive or
  // is reached through a loop of links.
  FileSource open(const std::string& path, std::string_view what, std::string_view document) const;

 private:
  struct Member {
    std::uint64_t offset = 0, size = 0;
    bool is_file = false;
    std::string link_target{};  // path in the archive, not empty: this is a link
  };

  FileSource archive_;
  std::map<std::string, Member, std::less<>> members_;
};

// "./a//b" -> "a/b"; nullopt for absolute and empty paths and those that climb out with "..".
std::optional<std::string> clean_member_path(std::string_view path);

}  // namespace oci
