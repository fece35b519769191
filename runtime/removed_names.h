// SPDX-License-Identifier: Apache-2.0
// Names that a file with several has lost while the kernel knows the file. An overlay reaches the
// file by the name that it met first, whatever name a program uses, and has the file system confirm
// that name even after it was removed (ovl_dentry_revalidate() in fs/overlayfs/super.c,
// fuse_dentry_revalidate() in fs/fuse/dir.c): told that it is gone, the overlay answers ESTALE for
// all names. The request is the same LOOKUP with which a program asks for the name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "ext/file_system.h"

namespace runtime {

class RemovedNames {
 public:
  struct Removed {
    ext::InodeNumber inode;     // that had the name
    bool is_confirmed = false;  // once at least; rarely again
  };

  void add(ext::InodeNumber directory, std::string_view name, ext::InodeNumber inode) {
    names_.insert_or_assign({directory, std::string(name)}, Removed{inode});
  }
  bool empty() const { return names_.empty(); }
  // Null if it is none of them.
  Removed* find(ext::InodeNumber directory, std::string_view name) {
    const auto found = names_.find({directory, std::string(name)});
    return found == names_.end() ? nullptr : &found->second;
  }
  // The file has no name left, or the kernel has forgotten it.
  void remove_all(ext::InodeNumber inode) {
    std::erase_if(names_, [&](const auto& each) { return each.second.inode == inode; });
  }

 private:
  std::map<std::pair<ext::InodeNumber, std::string>, Removed> names_;
};

}  // namespace runtime
