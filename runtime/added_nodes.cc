// SPDX-License-Identifier: Apache-2.0
#include "runtime/added_nodes.h"

#include <algorithm>

namespace runtime {
namespace {

// Positions of inodes have 48 bits.
constexpr std::uint64_t kFirstAddedId = std::uint64_t{1} << 62;

}  // namespace

void AddedNodes::add(std::uint64_t parent, std::span<const std::string> components,
                     bool is_directory) {
  for (std::size_t i = 0; i < components.size(); ++i) {
    const bool is_last = i + 1 == components.size();
    const Node* node = find(parent, components[i]);
    if (node == nullptr) {
      const std::uint64_t id = kFirstAddedId + nodes_.size();
      node = &nodes_.emplace_back(Node{id, parent, components[i], !is_last || is_directory});
    }
    if (!node->is_directory) return;  // a file of that name was asked for first
    parent = node->id;
  }
}

const AddedNodes::Node* AddedNodes::find(std::uint64_t parent, std::string_view name) const {
  const auto found = std::ranges::find_if(
      nodes_, [&](const Node& node) { return node.parent == parent && node.name == name; });
  return found == nodes_.end() ? nullptr : &*found;
}

const AddedNodes::Node* AddedNodes::find(std::uint64_t id) const {
  if (id < kFirstAddedId || id - kFirstAddedId >= nodes_.size()) return nullptr;
  return &nodes_[id - kFirstAddedId];
}

std::uint32_t AddedNodes::directories_in(std::uint64_t parent) const {
  return static_cast<std::uint32_t>(std::ranges::count_if(
      nodes_, [&](const Node& node) { return node.parent == parent && node.is_directory; }));
}

}  // namespace runtime
