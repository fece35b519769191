// SPDX-License-Identifier: Apache-2.0
// Changes of a file system's own structures that are not yet in its file. They are read back from
// here, and reach the file together: through the journal, or as they are where there is none.
// Contents of files do not wait: they go to the file at once, as with ext3's ordered journal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "ext/ext2fs_adapter.h"
#include "ext/journal.h"
#include "ext/partition.h"

namespace ext {

// Not thread-safe.
class Transaction : public BlockDevice {
 public:
  explicit Transaction(Partition partition) : partition_(std::move(partition)) {}

  // For libext2fs: structures.
  void set_block_size(std::size_t size) override;
  void read_blocks(std::uint64_t first, std::span<std::byte> out) override;
  void write_blocks(std::uint64_t first, std::span<const std::byte> data) override;
  void write_bytes(std::uint64_t at, std::span<const std::byte> data) override;
  void zero_blocks(std::uint64_t first, std::uint64_t count) override;
  void flush() override {}

  // Contents, from a position in bytes on.
  void read_data(std::uint64_t at, std::span<std::byte> out);
  void write_data(std::uint64_t at, std::span<const std::byte> data);
  // What is changed from begin() on is kept by keep(), and undone by undo(). Contents that went to
  // the file stay there.
  void begin() { is_undoable_ = true; }
  void keep();
  void undo();

  // From now on contents stay here, too.
  void keep_all() { keeps_all_ = true; }
  // What was in a block that is free from now on must survive until the file knows that it is free.
  void note_freed(std::uint64_t first, std::uint64_t count);

  // For a file that must not be written to: it reads as if these were in it.
  void show(BlockMap blocks) { changes_ = std::move(blocks); }

  const BlockMap& changes() const { return changes_; }
  // They are in the file.
  void clear();
  const Partition& partition() const { return partition_; }
  void shrink_to(std::uint64_t size) { partition_.shrink_to(size); }

 private:
  std::uint64_t position_of(std::uint64_t block) const;
  bool is_freed(std::uint64_t block) const;
  // The block's content, which is to be changed.
  std::vector<std::byte>& change(std::uint64_t block);
  // The next piece of a range of bytes that is either all in changes_ or all in the file.
  template <typename Byte, typename Known, typename Other>
  void for_each_piece(std::uint64_t at, std::span<Byte> bytes, const Known& known,
                      const Other& other);

  Partition partition_;
  std::size_t block_size_ = 1024;    // of changes_
  std::size_t counted_size_ = 1024;  // in blocks of which libext2fs counts: not those of the file
                                     // system before it has read the superblock
  bool keeps_all_ = false;
  BlockMap changes_;
  bool is_undoable_ = false;
  std::map<std::uint64_t, std::optional<std::vector<std::byte>>> before_;  // null: unchanged then
  std::map<std::uint64_t, std::uint64_t> freed_;  // first block -> the one behind the last
};

}  // namespace ext
