// SPDX-License-Identifier: Apache-2.0
#include "runtime/added_nodes.h"

#include <algorithm>

#include "base/bytes.h"

namespace runtime {

std::string serialize(std::span<const AddedPath> paths) {
  base::ByteWriter all;
  for (const AddedPath& path : paths) {
    base::ByteWriter one;
    one.write(path.directory);
    one.write(static_cast<std::uint8_t>(path.is_directory));
    one.write(static_cast<std::uint16_t>(path.components.size()));
    for (const std::string& name : path.components) {
      one.write(static_cast<std::uint16_t>(name.size()));
      one.append(std::as_bytes(std::span(name)));
    }
    if (all.bytes().size() + one.bytes().size() <= kMaxAddedBytes) all.append(one.bytes());
  }
  return all.string();
}

std::vector<AddedPath> parse_added_paths(std::string_view bytes) {
  base::ByteReader in(std::as_bytes(std::span(bytes)), "added paths");
  std::vector<AddedPath> paths;
  while (in.remaining() > 0) {
    AddedPath& path = paths.emplace_back();
    path.directory = in.read<std::uint64_t>();
    path.is_directory = in.read<std::uint8_t>() != 0;
    for (auto count = in.read<std::uint16_t>(); count > 0; --count) {
      const std::span<const std::byte> name = in.take(in.read<std::uint16_t>());
      path.components.emplace_back(reinterpret_cast<const char*>(name.data()), name.size());
    }
  }
  return paths;
}

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
