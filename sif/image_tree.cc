// SPDX-License-Identifier: Apache-2.0
#include "sif/image_tree.h"

#include <cerrno>
#include <utility>

#include "base/error.h"

namespace sif {

void ImageTree::FileData::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  if (file_.image.read_file(file_.inode, offset, out) != out.size())
    throw base::Error("corrupt squashfs: a file ends before its size", EIO);
}

ImageTree::ImageTree(const SquashfsReader& reader) : reader_(reader) {
  describe(reader.root(), tree.root());
  by_ref_.emplace(reader.root(), &tree.root());
  pending_.emplace_back(reader.root(), &tree.root());
  while (!pending_.empty()) {
    const auto [ref, directory] = pending_.back();
    pending_.pop_back();
    fill(ref, *directory);
  }
}

void ImageTree::fill(InodeRef ref, Inode& directory) {
  reader_.list(ref, 0, [&](const SquashfsReader::Entry& entry) {
    if (++entries_ > kMaxTreeEntries)
      throw base::Error(base::cat("an image of more than ", kMaxTreeEntries, " files"), EIO);
    directory.children[std::string(entry.name)] = &add(entry.ref);
    return true;
  });
}

Inode& ImageTree::add(InodeRef ref) {
  Inode*& known = by_ref_[ref];
  if (known != nullptr) {
    // Each directory has one name; another one is a loop.
    if (known->type == FileType::directory)
      throw base::Error("corrupt squashfs: a directory with two names", EIO);
    return *known;
  }
  known = &tree.make(FileType::regular, 0);
  describe(ref, *known);
  if (known->type == FileType::directory) pending_.emplace_back(ref, known);
  return *known;
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
