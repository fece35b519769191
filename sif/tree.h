// SPDX-License-Identifier: Apache-2.0
// The final file tree of an image, as the merge of the layers leaves it and the squashfs writer
// consumes it. Names point to inodes: replacing a name never touches the inode, so a hard link
// keeps its content whatever happens to the name it was made from. A tree owns its inodes and is
// built by one thread; once built it is read by many.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sif {

enum class FileType : std::uint8_t {
  directory,
  regular,
  symlink,
  block_device,
  char_device,
  fifo,
  socket
};

class SquashfsReader;

// A file of an image, whose blocks can be taken as they are stored.
struct StoredFile {
  const SquashfsReader& image;
  std::uint64_t inode;  // InodeRef
};

// Random access to the bytes behind file contents (a layer in an archive, a spool file, memory).
class DataSource {
 public:
  virtual ~DataSource() = default;
  // Null unless the bytes are those of such a file.
  virtual const StoredFile* stored_file() const { return nullptr; }
  // Fills `out` completely or throws. Thread-safe.
  virtual void read_at(std::uint64_t offset, std::span<std::byte> out) const = 0;
};

// `length` bytes of a file at `file_offset`, stored at `source_offset` of the source. What no
// extent covers is zero.
struct DataExtent {
  std::uint64_t file_offset = 0;
  std::uint64_t source_offset = 0;
  std::uint64_t length = 0;
};

struct Inode {
  FileType type = FileType::directory;
  std::uint16_t mode = 0;  // permission bits with setuid, setgid and sticky (07777)
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int64_t mtime =
      0;  // seconds since the epoch; squashfs keeps 32 unsigned bits, the writer clamps
  std::uint32_t device_major = 0;  // devices only
  std::uint32_t device_minor = 0;
  std::uint64_t size = 0;  // regular files only
  std::string symlink_target;
  std::map<std::string, std::string> xattrs;  // full name ("security.capability") to value
  const DataSource* source =
      nullptr;  // regular files; outlives the tree. nullptr only where extents is empty
  std::vector<DataExtent> extents;  // ascending, not overlapping, within size
  std::map<std::string, Inode*, std::less<>>
      children;  // directories; byte order, names without '/' or NUL
};

// To overlayfs, and so to image layers, every character device 0:0 means that there is nothing.
inline bool is_whiteout(const Inode& inode) {
  return inode.type == FileType::char_device && inode.device_major == 0 && inode.device_minor == 0;
}

// Gives an inode the mode, owner, time and attributes of another.
void take_metadata(Inode& to, const Inode& from);

class Tree {
 public:
  Tree();
  Inode& root() { return inodes_.front(); }
  const Inode& root() const { return inodes_.front(); }

  // A new inode that no name points to yet. The reference stays valid for the life of the tree.
  Inode& make(FileType type, std::uint16_t mode);

 private:
  std::deque<Inode> inodes_;  // the first is the root directory, 0755 root:root
};

}  // namespace sif
