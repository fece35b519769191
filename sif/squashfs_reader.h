// SPDX-License-Identifier: Apache-2.0
// Reads any squashfs 4.0 image from a file at an offset. Image bytes are hostile: every table is
// bounds-checked before anything is allocated from it, and corruption throws Error with errno EIO
// naming structure, offset, value and range. All const members are thread-safe; metadata blocks are
// inflated once and kept (grow-only, lock-free lookup).
#pragma once

#include <sys/stat.h>

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sif/squashfs_format.h"
#include "sif/tree.h"

namespace sif {

// Position of an inode: metadata block start relative to the inode table << 16 | offset in the
// block (the format's own form).
using InodeRef = std::uint64_t;

struct InodeAttributes {
  InodeRef ref = 0;
  FileType type = FileType::regular;
  std::uint16_t mode = 0;  // 07777
  std::uint32_t uid = 0, gid = 0, mtime = 0, inode_number = 0, link_count = 1;
  std::uint32_t parent_inode_number = 0;  // directories only
  std::uint64_t size = 0;                 // directories: the listing's size as stored
  std::uint64_t allocated_size = 0;       // regular files: size without holes
  std::uint32_t device_major = 0, device_minor = 0;
  std::uint32_t xattr_index = kNoXattr;
};

// A regular file that lies wholly in a fragment block, among others.
struct PackedFile {
  InodeRef ref = 0;
  std::uint32_t fragment = 0, offset = 0, size = 0;
};

// A block as it is stored: of a file's own, or of many tails.
struct StoredBlock {
  std::uint64_t position = 0;   // in the file system
  std::uint32_t size_word = 0;  // as the format has it; 0: a hole
  std::uint32_t length = 0;     // inflated; of tails, what is needed of it at least
};

// Where a file's content lies: files with the same are equal. The first position does not say it
// alone: holes have none, and a writer may let files share the beginning of their blocks.
struct StoredPlace {
  std::uint64_t size = 0, position = 0;
  std::uint64_t size_words = 0;  // a hash of those of its blocks
  std::uint32_t fragment = 0, fragment_offset = 0;
  auto operator<=>(const StoredPlace&) const = default;
};

// The end of a file that lies in a block with others.
struct StoredTail {
  std::uint32_t fragment = 0, offset = 0, size = 0;
  StoredBlock block;
};

inline constexpr std::uint32_t kMaxSymlinkTarget = 65535;  // as mksquashfs; Linux follows 4,095

class SquashfsReader {
 public:
  // Reads and checks superblock and tables of the image at [offset, offset + size) of `fd`. The
  // descriptor is borrowed and must outlive the reader. `name` appears in messages.
  SquashfsReader(int fd, std::uint64_t offset, std::uint64_t size, std::string name);
  ~SquashfsReader();

  InodeRef root() const;
  Codec codec() const;
  std::uint32_t block_size() const;
  std::uint64_t inode_count() const;
  std::uint64_t bytes_used() const;
  bool has_xattrs() const;

  InodeAttributes attributes(InodeRef ref) const;
  std::optional<InodeRef> find_entry(InodeRef directory, std::string_view name) const;

  struct Entry {
    std::string_view name;  // valid during the visit
    FileType type;
    InodeRef ref;
    std::uint32_t inode_number;
    std::uint64_t next_cookie;  // resume after this entry
  };
  // Calls `visit` for each entry from `cookie` (0 = start) until it returns false. Cookies resume
  // without rescanning.
  void list(InodeRef directory, std::uint64_t cookie,
            const std::function<bool(const Entry&)>& visit) const;

  std::string symlink_target(InodeRef ref) const;
  std::vector<std::pair<std::string, std::string>> xattrs(const InodeAttributes& inode) const;
  // Reads up to out.size() bytes at `offset` of a regular file; gives the count (short only at end
  // of file).
  std::size_t read_file(InodeRef ref, std::uint64_t offset, std::span<std::byte> out) const;

  // For whoever takes blocks as they are: a file's own, from the first on, and its tail if it has
  // one. copy_block() gives the bytes that are stored in one of them, no hole, in the beginning of
  // `out`, of block_size() bytes like `scratch`; it throws unless they inflate to what belongs
  // there.
  StoredPlace stored_place(InodeRef file) const;
  void visit_blocks(InodeRef file, const std::function<void(const StoredBlock&)>& visit) const;
  std::optional<StoredTail> stored_tail(InodeRef file) const;
  std::size_t copy_block(const StoredBlock& block, bool is_of_tails, std::span<std::byte> out,
                         std::span<std::byte> scratch) const;

  // nullopt for other files.
  std::optional<PackedFile> packed_file(InodeRef ref) const;
  // All of them, in the order of their bytes; reads the whole inode table.
  std::vector<PackedFile> packed_files() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sif
