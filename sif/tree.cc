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

void Tree::count_links() {
  for (Inode& inode : inodes_) inode.link_count = 0;
  // Iterative: a hostile archive may nest directories deeper than the stack is.
  std::vector<Inode*> pending = {&root()};
  while (!pending.empty()) {
    Inode& directory = *pending.back();
    pending.pop_back();
    directory.link_count += 2;
    for (const auto& [name, child] : directory.children) {
      if (child->type == FileType::directory) {
        ++directory.link_count;
        pending.push_back(child);
      } else {
        ++child->link_count;
      }
    }
  }
}

}  // namespace sif
