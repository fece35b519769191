// SPDX-License-Identifier: Apache-2.0
// A folder of this machine as a tree: names, types, modes, owners, times, hard links and extended
// attributes as they are, as tar would have them. Contents are read when they are asked for.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/syscalls.h"
#include "sif/tree.h"

namespace sif {

// From the bits of st_mode; nullopt if there is no such type.
std::optional<FileType> find_file_type(mode_t mode);
// Attributes that squashfs can hold, but the host's SELinux label, which says nothing of the image.
bool is_kept_xattr(std::string_view name);

class FolderTree {
 public:
  // Throws Error for what cannot be read; names that vanish meanwhile are left out.
  explicit FolderTree(const std::string& path);

  Tree tree;

 private:
  // Opened anew for each reading: a folder may hold more files than a process may open.
  class PathSource : public DataSource {
   public:
    explicit PathSource(std::string path) : path_(std::move(path)) {}
    void read_at(std::uint64_t offset, std::span<std::byte> out) const override;

   private:
    std::string path_;
  };

  void fill(const std::string& path, Inode& directory);
  Inode& add(const std::string& path, const struct stat& status);
  void describe(const std::string& path, const struct stat& status, Inode& inode);

  std::map<std::pair<dev_t, ino_t>, Inode*> by_number_;  // of what has several names
  std::deque<PathSource> sources_;
};

}  // namespace sif
