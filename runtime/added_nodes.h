// SPDX-License-Identifier: Apache-2.0
// Directories and empty files that the file server shows besides the image's own: mount points that
// the image lacks. So the image needs no cover for them, and no other mount.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sif/squashfs_reader.h"

namespace runtime {

// Names below a directory of the image that lacks the first of them.
struct AddedPath {
  sif::InodeRef directory = 0;
  std::vector<std::string> components;
  bool is_directory = true;  // the last one; those before it always are
};

// For the way from the launcher to the server. Paths beyond kMaxAddedBytes are left out: what is
// not shown here is covered when it is mounted on.
inline constexpr std::size_t kMaxAddedBytes = 128 << 10;
std::string serialize(std::span<const AddedPath> paths);
// Throws for what serialize() cannot have written.
std::vector<AddedPath> parse_added_paths(std::string_view bytes);

// Identified by FUSE node ids, of which theirs are the highest. Few, so they are searched one by
// one. Reading is thread-safe.
class AddedNodes {
 public:
  struct Node {
    std::uint64_t id = 0, parent = 0;
    std::string name;
    bool is_directory = true;
  };

  // Names that are there already are shared. `parent` may be any node id.
  void add(std::uint64_t parent, std::span<const std::string> components, bool is_directory);

  std::span<const Node> all() const { return nodes_; }
  const Node* find(std::uint64_t parent, std::string_view name) const;
  const Node* find(std::uint64_t id) const;
  // How many directories are added to this one: each counts as a link to it.
  std::uint32_t directories_in(std::uint64_t parent) const;

 private:
  std::vector<Node> nodes_;
};

}  // namespace runtime
