// SPDX-License-Identifier: Apache-2.0
// A squashfs image as a tree, to write its content anew. Image bytes are hostile.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "sif/squashfs_reader.h"
#include "sif/tree.h"

namespace sif {

inline constexpr std::uint64_t kMaxTreeEntries = 8'000'000;

class ImageTree {
 public:
  // Borrows the reader, which must outlive this. Throws Error for a corrupt image.
  explicit ImageTree(const SquashfsReader& reader);

  Tree tree;

 private:
  class FileData : public DataSource {
   public:
    FileData(const SquashfsReader& reader, InodeRef ref) : file_{reader, ref} {}
    const StoredFile* stored_file() const override { return &file_; }
    void read_at(std::uint64_t offset, std::span<std::byte> out) const override;

   private:
    StoredFile file_;
  };

  void fill(InodeRef ref, Inode& directory);
  Inode& add(InodeRef ref);
  void describe(InodeRef ref, Inode& inode);

  const SquashfsReader& reader_;
  std::uint64_t entries_ = 0;
  std::map<InodeRef, Inode*> by_ref_;
  std::deque<FileData> sources_;
  std::vector<std::pair<InodeRef, Inode*>> pending_;
};

}  // namespace sif
