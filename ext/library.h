// SPDX-License-Identifier: Apache-2.0
// What the parts of FileSystem share: libext2fs and what its use takes. Not for other folders.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ext/ext2fs_adapter.h"
#include "ext/file_system.h"
#include "ext/journal.h"
#include "ext/name_index.h"
#include "ext/transaction.h"

namespace ext {

Time current_time();

struct FileSystem::Library {
  explicit Library(Partition partition) : transaction(std::move(partition)) {}
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  const std::string& name() const { return transaction.partition().name(); }
  ext2_inode* generic(ext2_inode_large& inode) { return reinterpret_cast<ext2_inode*>(&inode); }
  int inode_bytes() const;
  base::Error damage(const std::string& what) const;
  // EROFS after a failed commit, and where the file is not to be written to.
  void require_writable() const;

  ext2_inode_large read_inode(InodeNumber number);
  void write_inode(InodeNumber number, ext2_inode_large& inode);
  // Adds to the count of names and marks the time. That of a directory with very many others in it
  // is 1 (dir_nlink).
  void change_links(InodeNumber number, int difference);
  void set_links(InodeNumber number, unsigned count);
  // Its attributes have changed; its content has, which `inode` is told and is still to be written;
  // that of a directory has.
  void mark_changed(InodeNumber number);
  static void mark_modified(ext2_inode_large& inode);
  void touch(InodeNumber directory);
  // Throws EMLINK.
  void require_room_for_link(const ext2_inode_large& inode) const;
  // Fills in what every new inode has; `parent`: what a set-group-ID directory hands down.
  void describe(ext2_inode_large& inode, NewInode wanted, const ext2_inode_large* parent) const;

  // Where a block of an inode lies; 0: a hole, or reserved and never written.
  std::uint64_t find_block(InodeNumber number, ext2_inode_large& inode, std::uint64_t block);
  // The same, made if need be; `is_new` tells.
  std::uint64_t make_block(InodeNumber number, ext2_inode_large& inode, std::uint64_t block,
                           bool& is_new);
  void set_size(InodeNumber number, ext2_inode_large& inode, std::uint64_t size);
  // Throws unless all are within the file system.
  void check_extents(InodeNumber number, ext2_inode_large& inode);
  void free_blocks_from(InodeNumber number, std::uint64_t block);

  // A block of a directory.
  struct DirectoryBlock {
    InodeNumber directory;
    std::uint64_t logical = 0, physical = 0;  // its number in the directory, and in the file system
    std::vector<char> bytes{};
  };
  void read_directory_block(DirectoryBlock& block);
  void write_directory_block(DirectoryBlock& block);
  // An entry in it.
  struct Place {
    DirectoryBlock& block;
    std::size_t offset, length, previous;  // `previous`: the offset of the one before, or its own
    ext2_dir_entry* entry() const { return at(offset); }
    ext2_dir_entry* at(std::size_t where) const {
      return reinterpret_cast<ext2_dir_entry*>(block.bytes.data() + where);
    }
    bool is_used() const;
    std::string_view entry_name() const;
    NameIndex::Position position() const { return {block.physical, block.logical, offset}; }
    // For list().
    std::uint64_t cookie() const { return block.logical * block.bytes.size() + offset; }
  };
  using TakePlace = std::function<bool(const Place&)>;
  // Until `take` says false; gives what it has said last. Unused ones, too.
  bool walk_block(DirectoryBlock& block, const TakePlace& take);
  // The used ones of all blocks from a cookie on.
  void for_each_entry(InodeNumber directory, std::uint64_t cookie, const TakePlace& take);
  // The one of that name; false if there is none.
  bool with_entry(InodeNumber directory, std::string_view name,
                  const std::function<void(const Place&)>& take);
  // Null for a directory that is searched from the start.
  NameIndex::Directory* index_of(InodeNumber directory, const ext2_inode_large& inode);
  std::uint64_t directory_blocks(InodeNumber directory, const ext2_inode_large& inode) const;
  std::size_t end_of_entries(const DirectoryBlock& block) const;
  // Both do nothing where there is no room.
  std::optional<NameIndex::Position> insert(DirectoryBlock& block, std::string_view name,
                                            InodeNumber number, mode_t mode);
  bool insert_into_blocks(InodeNumber directory, std::string_view name, InodeNumber number,
                          mode_t mode);
  std::uint8_t entry_type(InodeNumber number);
  std::optional<InodeNumber> find(InodeNumber directory, std::string_view name);
  InodeNumber get(InodeNumber directory, std::string_view name);  // throws ENOENT
  void add_entry(InodeNumber directory, std::string_view name, InodeNumber number, mode_t mode);
  void remove_entry(InodeNumber directory, std::string_view name);
  // Makes an entry that is there lead elsewhere.
  void replace_entry(InodeNumber directory, std::string_view name, InodeNumber number, mode_t mode);
  // An inode has lost a name in that directory; a directory its only one.
  void lose_name(InodeNumber number, InodeNumber directory);
  // A directory that has moved knows its new parent, and is counted there.
  void change_parent(InodeNumber number, InodeNumber from, InodeNumber to);
  bool is_empty_directory(InodeNumber directory);
  // The number of an inode that is still free.
  InodeNumber free_inode(InodeNumber parent, mode_t mode);
  // What a new inode has before it has content; `parent` as in describe().
  ext2_inode_large blank_inode(const NewInode& wanted, const ext2_inode_large* parent) const;
  // Not for directories, which libext2fs makes.
  void write_new_inode(InodeNumber number, ext2_inode_large& inode);

  // Inodes without a name are a chain in the file, so that nobody loses their space: whoever opens
  // the file system next frees them.
  void add_orphan(InodeNumber number);
  void remove_orphan(InodeNumber number);
  void set_next_orphan(InodeNumber number, InodeNumber next);
  void free_inode_and_blocks(InodeNumber number);
  void free_orphans_of_the_dead();
  bool is_orphan(InodeNumber number) const;

  // Blocks and inodes that are taken (1) or free (-1) from now on: noted for the operation, which
  // may have to undo it. count_inode() has libext2fs do it, too.
  void note_blocks(std::uint64_t first, std::uint64_t count, int in_use);
  void count_inode(InodeNumber number, int in_use, bool is_directory);
  void note_inode(InodeNumber number, int in_use, bool is_directory);

  Transaction transaction;
  ext2_filsys fs = nullptr;
  NameIndex names;
  std::optional<Journal> journal;
  bool writable = false;
  bool is_private = false;             // nothing is ever written
  std::optional<base::Error> failure;  // of a commit
  std::vector<InodeNumber> orphans;    // the last is the head of the chain
  struct Counted {
    std::uint64_t number, count;  // the first one, and how many follow it
    int in_use;
    bool is_inode, is_directory;
  };
  bool in_operation = false;
  std::vector<Counted> counted;  // since its beginning
};

}  // namespace ext
