// SPDX-License-Identifier: Apache-2.0
// An ext2, ext3 or ext4 file system in a file, read and changed without the kernel's help, through
// libext2fs. Changes reach the file all or not at all: they are collected, and commit() sends them
// through the journal, so that whoever is killed at any moment leaves a sound file system.
// Format: Documentation/filesystems/ext4 of the kernel's source. Bytes are hostile.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ext/partition.h"

struct ext2_inode_large;

namespace ext {

using InodeNumber = std::uint32_t;
inline constexpr InodeNumber kRootInode = 2;

struct Time {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
};

struct Attributes {
  InodeNumber inode = 0;
  mode_t mode = 0;  // with the type
  std::uint32_t link_count = 0, generation = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  std::uint32_t device = 0;  // as the kernel packs it: minor & 0xff | major << 8 | minor >> 8 << 20
  std::uint64_t size = 0, sectors = 0;  // bytes, and units of 512 bytes
  Time accessed, modified, changed;
};

struct AttributeChanges {
  std::optional<mode_t> mode;  // permissions only
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
  std::optional<std::uint64_t> size;
  std::optional<Time> accessed, modified, changed;
};

struct NewInode {
  mode_t mode = 0;  // with the type
  uid_t uid = 0;
  gid_t gid = 0;
  std::uint32_t device = 0;
};

struct Statistics {
  std::uint64_t block_size = 0, blocks = 0, free_blocks = 0, inodes = 0, free_inodes = 0;
};

enum class Access { read_only, read_write };

// What renameat2(2) knows.
enum class Rename { replace, no_replace, exchange, leave_whiteout };

// Not thread-safe. All throw Error with an errno value: what system calls say (ENOENT, EEXIST,
// ENOTDIR, ENOTEMPTY, ENOSPC...), EIO for damage. An inode without names exists until drop().
class FileSystem {
 public:
  struct Library;  // keeps the names of libext2fs out of this header

  // Throws with a hint for what cannot be used: unknown features, a file system with errors.
  FileSystem(Partition partition, Access access);
  ~FileSystem();
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;

  Attributes attributes(InodeNumber inode);
  Statistics statistics() const;
  // Whether times are kept to the nanosecond, or to the second.
  bool has_nanoseconds() const;

  std::optional<InodeNumber> find_entry(InodeNumber directory, std::string_view name);
  struct Entry {
    std::string_view name;
    InodeNumber inode;
    std::uint8_t type;  // d_type of readdir(3)
    std::uint64_t next_cookie;
  };
  // From a cookie on (0: the start), "." and ".." included; until `take` says false.
  void list(InodeNumber directory, std::uint64_t cookie,
            const std::function<bool(const Entry&)>& take);
  std::string symlink_target(InodeNumber inode);
  // Gives the count read, less than asked for at the end of the file only.
  std::size_t read(InodeNumber inode, std::uint64_t offset, std::span<std::byte> out);

  std::vector<std::string> xattr_names(InodeNumber inode);
  std::optional<std::string> find_xattr(InodeNumber inode, const std::string& name);

  void write(InodeNumber inode, std::uint64_t offset, std::span<const std::byte> data);
  void change(InodeNumber inode, const AttributeChanges& changes);
  void set_xattr(InodeNumber inode, const std::string& name, std::string_view value);
  void remove_xattr(InodeNumber inode, const std::string& name);

  // Files, directories, devices and the like.
  InodeNumber make(InodeNumber directory, std::string_view name, const NewInode& wanted);
  InodeNumber make_symlink(InodeNumber directory, std::string_view name, std::string_view target,
                           const NewInode& wanted);
  // A file without a name, for link().
  InodeNumber make_unnamed(const NewInode& wanted);
  void link(InodeNumber inode, InodeNumber directory, std::string_view name);
  // Both give the inode that has lost a name.
  InodeNumber unlink(InodeNumber directory, std::string_view name);
  InodeNumber remove_directory(InodeNumber directory, std::string_view name);
  // Gives the inode that was replaced, if any.
  std::optional<InodeNumber> rename(InodeNumber directory, std::string_view name,
                                    InodeNumber new_directory, std::string_view new_name,
                                    Rename how, const NewInode& whiteout);
  // Frees an inode that has no name left; others stay.
  void drop(InodeNumber inode);

  // For a file system that is only read: changes from now on are seen and never written.
  void begin_private_changes();
  // Whether there is something to be committed, and whether it should not wait.
  bool has_changes() const;
  bool is_full() const;
  // Until the disk has it.
  void commit();
  // Commits, and marks the file system as cleanly left. The last call; throws what an earlier
  // commit did.
  void close();

 private:
  void open(Access access);
  void recover(Access access);
  void prepare_for_changes();
  void begin_counting();
  void mark(bool in_use);
  void collect();
  void write_changes();
  void write_in_place();
  void exchange(InodeNumber directory, std::string_view name, InodeNumber new_directory,
                std::string_view new_name);
  void check_replacement(mode_t mode, InodeNumber replaced);
  void write_blocks(InodeNumber number, ext2_inode_large& inode, std::uint64_t offset,
                    std::span<const std::byte> data);

  std::unique_ptr<Library> library_;
};

}  // namespace ext
