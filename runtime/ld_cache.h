// SPDX-License-Identifier: Apache-2.0
// /etc/ld.so.cache, the loader's index of libraries by SONAME (format "glibc-ld.so.cache1.1" of
// glibc's dl-cache.h, alone or behind the older table), read without running ldconfig: it is
// quicker, works where the program is missing, and an image's cache may be read, too. Hostile
// bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/root_tree.h"

namespace runtime {

struct LdCacheEntry {
  std::string_view name;  // SONAME
  std::string_view path;
  std::uint32_t flags = 0;  // architecture and C library; see LibraryAbi
};

class LdCache {
 public:
  static constexpr std::size_t kMaxSize = 32 << 20;

  // nullopt for bytes that are no cache. Entries that point outside the file are left out.
  static std::optional<LdCache> parse(std::vector<char> bytes);
  // Of a tree, from /etc/ld.so.cache.
  static std::optional<LdCache> find(const RootTree& tree);

  // In the loader's order of preference, among equal names.
  std::span<const LdCacheEntry> entries() const { return entries_; }

 private:
  std::vector<char> bytes_;  // the entries point into it; moving a vector keeps its storage
  std::vector<LdCacheEntry> entries_;
};

// The kinds of libraries that one machine runs.
struct LibraryAbi {
  std::string_view machine;   // uname(2)
  std::uint16_t elf_machine;  // e_machine
  bool is_64;
  std::uint32_t cache_flags;  // of an LdCacheEntry, without the bits above 16
  // Default directories of the loader, Debian's and the others', in order.
  std::string_view directories;  // between spaces
};

// This machine's own, and the 32-bit one that it also runs, if there is one.
const LibraryAbi* native_abi();
const LibraryAbi* compat_abi();

}  // namespace runtime
