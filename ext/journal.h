// SPDX-License-Identifier: Apache-2.0
// The journal that an ext3 or ext4 file system has within itself (jbd2): changes of several blocks
// reach the file system all or not at all, wherever the process is killed or the node stops. What
// is left then is replayed by us, by e2fsck or by the kernel at the next mount. Bytes are hostile.
// Format: Documentation/filesystems/ext4/journal.rst of the kernel's source.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "ext/journal_format.h"
#include "ext/partition.h"

namespace ext {

// Number of a block in the file system -> its new content, one block each.
using BlockMap = std::map<std::uint64_t, std::vector<std::byte>>;

// Not thread-safe. Throws Error, with EIO for damage, besides what Partition throws. The flag in
// the file system's superblock that has others replay (needs_recovery) is the caller's: it must
// have been written before commit() is called, and be set in the superblock if that is committed.
class Journal {
 public:
  // Before each write to the partition, and with no data before each sync. What it throws ends the
  // work at that point.
  using Observer = std::function<void(std::uint64_t at, std::span<const std::byte> data)>;

  // `blocks`: where the journal lies in the file system, its own block 0 first. nullopt if it has
  // features that are not known here (checksums, fast commits): it can be neither replayed nor
  // written.
  static std::optional<Journal> open(const Partition& partition, std::size_t block_size,
                                     std::vector<std::uint64_t> blocks, Observer observer = {});

  // Nothing is to be replayed.
  bool is_empty() const { return start_ == 0; }
  // Writes what complete transactions in the log hold to its place, and empties the log. The file
  // system's superblock may be among it. Nothing is written for a log with damage.
  void replay();
  // What replay() would write, for a file that must not be written to.
  BlockMap pending() const;

  // How many blocks one commit() can take.
  std::size_t capacity() const;
  // Writes the blocks to their places, all or none. Until the disk has them, and before them
  // whatever was written to the partition up to now. False, with nothing written, if the log cannot
  // hold them: more than capacity(), or numbers beyond 32 bits in a log that has no room for those.
  // When it throws and the log is not empty then, the blocks will be there after a replay():
  // nothing else may be written before that. The log must be empty.
  bool commit(const BlockMap& blocks);

 private:
  // Writes blocks in the order of add(), adjacent ones with one call.
  class Run {
   public:
    explicit Run(const Journal& journal) : journal_(journal) {}
    void add(std::uint64_t block, std::span<const std::byte> content);
    void finish();

   private:
    const Journal& journal_;
    std::uint64_t first_ = 0, next_ = 0;
    std::vector<std::byte> pending_;
  };
  class Scan;

  Journal(const Partition& partition, std::size_t block_size, std::vector<std::uint64_t> blocks,
          Observer observer);
  base::Error corrupt(std::string_view what, std::uint64_t found, std::uint64_t lowest,
                      std::uint64_t highest) const;
  void check_place() const;
  bool read_superblock();
  void check_superblock(std::span<const std::byte> superblock) const;
  // Whether something from the log may be written there: within the partition, not in the journal.
  void check_target(std::string_view structure, std::uint64_t block) const;
  void read_log(std::uint32_t position, std::span<std::byte> block) const;

  std::size_t tag_size() const { return is_64bit_ ? jbd2::kTagSize64Bit : jbd2::kTagSize; }
  std::size_t tags_per_descriptor() const;
  void put_header(std::span<std::byte> block, jbd2::BlockType type) const;
  void put_tags(std::span<std::byte> descriptor,
                std::span<const BlockMap::const_iterator> entries) const;
  void write_log(const BlockMap& blocks);
  // From the first of both on, the superblock says that the log must be replayed.
  void mark_used(std::uint32_t start);
  void mark_empty(std::uint32_t next_sequence);
  void write_state(std::uint32_t start, std::uint32_t sequence) const;
  void write(std::uint64_t at, std::span<const std::byte> data) const;
  void sync() const;

  Partition partition_;
  std::size_t block_size_;
  std::vector<std::uint64_t> blocks_, sorted_blocks_;
  Observer observer_;
  // Positions in the log are indices of blocks_.
  std::uint32_t first_ = 0, end_ = 0, start_ = 0, sequence_ = 0;
  bool is_64bit_ = false;
  std::array<std::byte, jbd2::kUuidSize> uuid_{};
};

}  // namespace ext
