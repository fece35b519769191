// SPDX-License-Identifier: Apache-2.0
#include "sif/image_tree.h"

#include <cerrno>
#include <utility>

#include "base/error.h"
#include "sif/tree_import.h"

namespace sif {

void ImageTree::FileData::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  if (file_.image.read_file(file_.inode, offset, out) != out.size())
    throw base::Error("corrupt squashfs: a file ends before its size", EIO);
}

ImageTree::ImageTree(const SquashfsReader& reader) : reader_(reader) {
  const TreeImport<InodeRef>::Image image{
      "squashfs", [&](InodeRef ref, Inode& inode) { describe(ref, inode); },
      [&](InodeRef ref, const auto& visit) {
        reader.list(ref, 0, [&](const SquashfsReader::Entry& entry) {
          visit(entry.name, entry.ref);
          return true;
        });
      }};
  TreeImport<InodeRef>(image, reader.root(), tree);
}

void ImageTree::describe(InodeRef ref, Inode& inode) {
  const InodeAttributes attributes = reader_.attributes(ref);
  inode.type = attributes.type;
  inode.mode = attributes.mode;
  inode.uid = attributes.uid;
  inode.gid = attributes.gid;
  inode.mtime = attributes.mtime;
  inode.device_major = attributes.device_major;
  inode.device_minor = attributes.device_minor;
  if (inode.type == FileType::symlink) inode.symlink_target = reader_.symlink_target(ref);
  if (inode.type == FileType::regular && attributes.size > 0) {
    inode.size = attributes.size;
    inode.extents = {{0, 0, inode.size}};
    inode.source = &sources_.emplace_back(reader_, ref);
  }
  for (auto& [name, value] : reader_.xattrs(attributes)) inode.xattrs[name] = std::move(value);
}

}  // namespace sif
