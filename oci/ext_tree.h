// SPDX-License-Identifier: Apache-2.0
// An ext3 image as a tree, to write its content as squashfs. Image bytes are hostile.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <span>

#include "ext/file_system.h"
#include "sif/sif_reader.h"
#include "sif/tree.h"

namespace oci {

class ExtTree {
 public:
  enum class Part {
    all,
    changes,  // what is below its folder "upper", if it has one
  };
  // The image is borrowed and must outlive this. Throws Error for one that is damaged.
  ExtTree(const sif::ImageFile& image, Part part);

  sif::Tree tree;

 private:
  class FileData : public sif::DataSource {
   public:
    FileData(ExtTree& owner, ext::InodeNumber inode) : owner_(owner), inode_(inode) {}
    void read_at(std::uint64_t offset, std::span<std::byte> out) const override;

   private:
    ExtTree& owner_;
    ext::InodeNumber inode_;
  };

  void describe(ext::InodeNumber number, sif::Inode& inode);

  std::mutex mutex_;  // of file_system_, which one thread may use at a time
  ext::FileSystem file_system_;
  std::deque<FileData> sources_;
};

}  // namespace oci
