// SPDX-License-Identifier: Apache-2.0
// Directory listings: enumeration that resumes where it stopped, and lookup by name. A listing is a
// sequence of runs: a header (entry count, inode table block, base inode number) and up to 256
// entries. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sif/inode_reader.h"
#include "sif/recent_map.h"
#include "sif/squashfs_reader.h"

namespace sif {

inline constexpr std::uint32_t kMaxListingSize = 512U << 20;  // about 20 million entries
inline constexpr std::uint32_t kMaxRunEntries = 256;

class DirectoryReader {
 public:
  explicit DirectoryReader(const ImageTables& tables) : tables_(tables) {}

  std::optional<InodeRef> find(const InodeRecord& directory, std::string_view name) const;
  void list(const InodeRecord& directory, std::uint64_t cookie,
            const std::function<bool(const SquashfsReader::Entry&)>& visit) const;

 private:
  // Where a run starts: in the listing's bytes, and where those are in the directory table.
  struct RunPosition {
    std::uint32_t listing_offset = 0;
    MetadataPosition place;
  };
  struct IndexEntry {
    std::string first_name;
    RunPosition run;
  };
  // Ascending names; a name is in the last run that starts at or before it.
  using Index = std::vector<IndexEntry>;
  struct ResumeKey {
    InodeRef ref;
    std::uint32_t listing_offset;
    bool operator==(const ResumeKey&) const = default;
  };

  using RunVisitor = std::function<void(const RunPosition&)>;
  using EntryVisitor = std::function<bool(const SquashfsReader::Entry&)>;
  void walk(const InodeRecord& directory, RunPosition from, std::uint32_t first_entry,
            std::uint32_t end, const RunVisitor& on_run, const EntryVisitor& on_entry) const;
  MetadataCursor cursor_at(MetadataPosition place) const;
  RunPosition locate(const InodeRecord& directory, std::uint32_t listing_offset) const;
  Index stored_index(const InodeRecord& directory) const;
  Index built_index(const InodeRecord& directory) const;
  void check_listing(const InodeRecord& directory) const;

  const ImageTables& tables_;
  mutable RecentMap<InodeRef, const Index> indexes_{8};
  mutable RecentMap<ResumeKey, const MetadataPosition> resume_points_{64};
};

}  // namespace sif
