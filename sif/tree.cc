// SPDX-License-Identifier: Apache-2.0
#include "sif/tree.h"

namespace sif {

Tree::Tree() { make(FileType::directory, 0755); }

Inode& Tree::make(FileType type, std::uint16_t mode) {
  Inode& inode = inodes_.emplace_back();
  inode.type = type;
  inode.mode = mode;
  return inode;
}

void take_metadata(Inode& to, const Inode& from) {
  to.mode = from.mode;
  to.uid = from.uid;
  to.gid = from.gid;
  to.mtime = from.mtime;
  to.xattrs = from.xattrs;
}

}  // namespace sif
