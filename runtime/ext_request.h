// SPDX-License-Identifier: Apache-2.0
// What the parts of ExtResponder share: the parts of a request. Not for others.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ext/file_system.h"
#include "runtime/fuse_operation.h"
#include "runtime/known_inodes.h"

namespace runtime {

inline ext::InodeNumber inode_of(std::uint64_t node_id) {
  return node_id == FUSE_ROOT_ID ? ext::kRootInode : static_cast<ext::InodeNumber>(node_id);
}

// The header of a request and the names behind it.
template <typename T>
struct Parsed {
  T in;
  std::span<const std::byte> rest;
};
template <typename T>
Parsed<T> parse_with_rest(std::span<const std::byte> body, std::size_t size = sizeof(T)) {
  return {parse<T>(body.first(std::min(size, body.size()))),
          body.subspan(std::min(size, body.size()))};
}

inline NamedPlace place_of(const FuseRequest& request, std::string_view name) {
  return {inode_of(request.header.nodeid), name};
}

inline std::span<const std::byte> behind_name(std::span<const std::byte> names) {
  return names.subspan(std::min(parse_name(names).size() + 1, names.size()));
}

}  // namespace runtime
