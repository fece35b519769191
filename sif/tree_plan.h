// SPDX-License-Identifier: Apache-2.0
// The order in which a tree is written, and the check that squashfs can hold it: inode numbers
// (needed up front, since directories name their parent's), link counts, directories in pre-order.
// Siblings get consecutive numbers, which is what makes directory listings small.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sif/tree.h"

namespace sif {

class TreePlan {
 public:
  struct Directory {
    const Inode* inode;
    std::uint32_t number;
    std::uint32_t parent;   // index in directories(); the root's is its own
    std::string_view name;  // of the tree's own string
  };

  struct File {
    const Inode* inode;
    std::uint32_t number;
    std::uint32_t directory;  // of its first name, index in directories()
    std::string_view name;
  };

  // Throws Error naming the path for what squashfs cannot hold: names, symbolic link targets,
  // device numbers and sizes out of range, a directory with two names, extents out of order.
  explicit TreePlan(const Tree& tree);

  // Pre-order, byte order among siblings: going through it backwards meets every directory after
  // all it contains.
  const std::vector<Directory>& directories() const { return directories_; }
  // Regular files, each inode once, in the order of their first names.
  const std::vector<File>& files() const { return files_; }
  // Inode numbers count from 1, the root's.
  std::uint32_t inode_count() const { return static_cast<std::uint32_t>(link_counts_.size()); }
  std::uint32_t number_of(const Inode& inode) const { return numbers_.at(&inode); }
  std::uint32_t link_count(std::uint32_t number) const { return link_counts_[number - 1]; }
  // "/usr/bin/env", made fit for a message.
  std::string path_of(const Directory& parent, std::string_view name) const;

 private:
  void visit(std::uint32_t index, std::vector<Directory>& pending);
  std::uint32_t add(const Inode& inode);
  void check(const Directory& parent, std::string_view name, const Inode& inode) const;

  std::vector<Directory> directories_;
  std::vector<File> files_;
  std::vector<std::uint32_t> link_counts_;
  std::unordered_map<const Inode*, std::uint32_t> numbers_;
};

}  // namespace sif
