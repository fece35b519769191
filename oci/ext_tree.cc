// SPDX-License-Identifier: Apache-2.0
#include "oci/ext_tree.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>

#include "base/error.h"
#include "ext/overlay_marks.h"
#include "sif/folder_tree.h"
#include "sif/tree_import.h"

namespace oci {
namespace {

constexpr const char* kUpper = "upper";
constexpr const char* kLostAndFound =
    "lost+found";  // of every ext file system, no part of an image

}  // namespace

void ExtTree::FileData::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  const std::lock_guard lock(owner_.mutex_);
  if (owner_.file_system_.read(inode_, offset, out) != out.size())
    throw base::Error("corrupt ext file system: a file ends before its size", EIO);
}

ExtTree::ExtTree(const sif::ImageFile& image, Part part)
    : file_system_(
          ext::Partition(image.fd.get(), image.offset, image.size, base::printable(image.path)),
          ext::Access::read_only) {
  ext::InodeNumber root = ext::kRootInode;
  if (part == Part::changes) root = file_system_.find_entry(root, kUpper).value_or(root);
  const sif::TreeImport<ext::InodeNumber>::Image nodes{
      "ext file system",
      [&](ext::InodeNumber number, sif::Inode& inode) { describe(number, inode); },
      [&](ext::InodeNumber number, const auto& visit) {
        if (part == Part::changes) ext::use_kernel_marks(file_system_, number);
        file_system_.list(number, 0, [&](const ext::FileSystem::Entry& entry) {
          if (entry.name != "." && entry.name != "..") visit(entry.name, entry.inode);
          return true;
        });
      }};
  sif::TreeImport<ext::InodeNumber>(nodes, root, tree);
  tree.root().children.erase(kLostAndFound);
}

void ExtTree::describe(ext::InodeNumber number, sif::Inode& inode) {
  const ext::Attributes found = file_system_.attributes(number);
  const auto type = sif::find_file_type(found.mode);
  if (!type) throw base::Error("corrupt ext file system: an inode of an unknown type", EIO);
  inode.type = *type;
  inode.mode = static_cast<std::uint16_t>(found.mode & 07777);
  inode.uid = found.uid;
  inode.gid = found.gid;
  inode.mtime = found.modified.seconds;
  inode.device_major = major(found.device);
  inode.device_minor = minor(found.device);
  if (*type == sif::FileType::symlink) inode.symlink_target = file_system_.symlink_target(number);
  if (*type == sif::FileType::regular && found.size > 0) {
    inode.size = found.size;
    inode.extents = {{0, 0, inode.size}};
    inode.source = &sources_.emplace_back(*this, number);
  }
  for (const std::string& name : file_system_.xattr_names(number)) {
    if (!sif::is_kept_xattr(name)) continue;
    if (auto value = file_system_.find_xattr(number, name)) inode.xattrs[name] = std::move(*value);
  }
}

}  // namespace oci
