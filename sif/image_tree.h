// SPDX-License-Identifier: Apache-2.0
// A squashfs image as a tree, to write its content anew. Image bytes are hostile.
#pragma once

#include <cstdint>
#include <deque>
#include <span>

#include "sif/squashfs_reader.h"
#include "sif/tree.h"

namespace sif {

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

  void describe(InodeRef ref, Inode& inode);

  const SquashfsReader& reader_;
  std::deque<FileData> sources_;
};

}  // namespace sif
