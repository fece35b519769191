// SPDX-License-Identifier: Apache-2.0
// The metadata tables of a squashfs, written by libsquashfs. Nothing else of the program sees that
// library: its next major version changes these interfaces. Extended attributes are ours (the
// library's writer compares each set with all before it).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "sif/squashfs_writer.h"
#include "sif/tree.h"

namespace sif {

// Position of an inode in the inode table: metadata block << 16 | offset in the block.
using InodePosition = std::uint64_t;

struct NewInode {
  const Inode* inode;
  std::uint32_t number;
  std::uint32_t link_count;
  std::uint32_t xattrs = kNoXattr;  // from MetadataTables::add_xattrs
  // Regular files only:
  std::uint64_t start = 0;
  std::uint64_t sparse = 0;  // bytes of size held by holes
  std::uint32_t fragment = kNoFragment;
  std::uint32_t fragment_offset = 0;
  std::span<const std::uint32_t> size_words = {};
};

struct NewImage {
  InodePosition root;
  std::uint32_t root_number, inode_count;
};

class MetadataTables {
 public:
  // A directory whose entries are written but whose inode is not yet.
  class Listing;

  // Tables are appended from `position` on of the file system at `offset` of `fd`. All members
  // throw Error on I/O failure. Not thread-safe.
  MetadataTables(int fd, std::uint64_t offset, const SquashfsOptions& options);
  ~MetadataTables();

  // Writes the codec's option block if it needs one; gives the position of the first data block.
  std::uint64_t write_codec_options();
  // Data ends at `position`; tables follow.
  void begin_tables(std::uint64_t position);

  void add_fragment(std::uint64_t position, std::uint32_t size_word);
  // The index of this set of attributes (full name to value), which squashfs must be able to hold.
  std::uint32_t add_xattrs(const std::map<std::string, std::string>& xattrs);

  InodePosition write_inode(const NewInode& record);  // anything but directories
  // A directory's entries, in byte order of their names, after their inodes.
  void begin_listing();
  void add_entry(const std::string& name, const Inode& inode, std::uint32_t number,
                 InodePosition position);
  Listing end_listing(std::uint32_t parent_number, std::uint32_t xattrs);
  InodePosition write_directory(const NewInode& record, Listing listing);

  // Writes all tables and the superblock; gives the size of the file system.
  std::uint64_t finish(const NewImage& image);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class MetadataTables::Listing {
  friend class MetadataTables;
  struct Free {
    void operator()(void* inode) const;
  };
  std::unique_ptr<void, Free> inode_;  // sqfs_inode_generic_t
};

}  // namespace sif
