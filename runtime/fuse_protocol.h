// SPDX-License-Identifier: Apache-2.0
// Small translations between the kernel's FUSE protocol (linux/fuse.h) and the image's terms.
#pragma once

#include <dirent.h>
#include <linux/fuse.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "sif/squashfs_reader.h"
#include "sif/tree.h"

namespace runtime {

// At most this much is read at once, one squashfs block of the usual size: more per request keeps
// threads waiting for one.
inline constexpr std::uint32_t kRequestBytes = 128 << 10;
// The kernel hands out no request to a smaller buffer; ours are lookups and reads, with short
// bodies.
inline constexpr std::size_t kLongestRequest = FUSE_MIN_READ_BUFFER + 4096;

// Node ids are inode positions, but for the root: 0 means "no such entry" and 1 is the root's name.
inline constexpr std::uint64_t kFirstNodeId = 2;
constexpr std::uint64_t node_id_of(sif::InodeRef ref) { return ref + kFirstNodeId; }

struct TypeBits {
  mode_t mode;
  std::uint32_t entry;  // d_type of readdir(3)
};
constexpr TypeBits type_bits(sif::FileType type) {
  switch (type) {
    case sif::FileType::directory:
      return {S_IFDIR, DT_DIR};
    case sif::FileType::regular:
      return {S_IFREG, DT_REG};
    case sif::FileType::symlink:
      return {S_IFLNK, DT_LNK};
    case sif::FileType::block_device:
      return {S_IFBLK, DT_BLK};
    case sif::FileType::char_device:
      return {S_IFCHR, DT_CHR};
    case sif::FileType::fifo:
      return {S_IFIFO, DT_FIFO};
    case sif::FileType::socket:
      return {S_IFSOCK, DT_SOCK};
  }
  return {S_IFREG, DT_UNKNOWN};
}

// Structures in requests may be shorter than ours when the kernel is older: the rest is zero.
template <typename T>
T parse(std::span<const std::byte> body) {
  T value{};
  std::memcpy(&value, body.data(), std::min(body.size(), sizeof(T)));
  return value;
}

// FUSE passes longer ones on, up to 1024 bytes.
inline constexpr std::size_t kMaxName = 255;

inline std::string_view parse_name(std::span<const std::byte> body) {
  const auto* text = reinterpret_cast<const char*>(body.data());
  return {text, ::strnlen(text, body.size())};
}

}  // namespace runtime
