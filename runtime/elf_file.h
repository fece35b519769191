// SPDX-License-Identifier: Apache-2.0
// What the dynamic loader would read of an ELF file (elf(5), the generic ABI and the GNU symbol
// versioning tables): who interprets it, what it needs, in which versions. Programs of the host
// environment and libraries of an image are looked at, so every size and offset is hostile.
// Little-endian files only, as all supported architectures are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/root_tree.h"

namespace runtime {

struct ElfVersionNeed {
  std::string library;  // "libc.so.6"
  std::string version;  // "GLIBC_2.34"
  bool operator==(const ElfVersionNeed&) const = default;
};

struct ElfFile {
  bool is_64 = false;
  std::uint16_t machine = 0;  // e_machine: 62 for x86-64
  std::string interpreter;    // PT_INTERP; empty for libraries and static programs
  std::string soname;
  std::vector<std::string> needed;
  std::string rpath, runpath;
  std::vector<ElfVersionNeed> version_needs;
  std::vector<std::string> version_definitions;
};

// Reads with pread(2) from `fd`. nullopt for what is no ELF file, is damaged, or exceeds a limit:
// nothing can be said about it then.
std::optional<ElfFile> find_elf(int fd);
// Of a file that the tree does not have, nothing either.
std::optional<ElfFile> find_elf(const RootTree& tree, std::string_view path);

// "GLIBC_2.34" -> {2, 34}; nullopt for other names (GLIBC_PRIVATE, CXXABI_1.3).
struct GlibcVersion {
  unsigned major = 0, minor = 0;
  auto operator<=>(const GlibcVersion&) const = default;
  std::string text() const;
};
std::optional<GlibcVersion> parse_glibc_version(std::string_view name);

// The highest one it needs of any library, or defines; {0, 0} for none.
GlibcVersion needed_glibc(const ElfFile& file);
GlibcVersion defined_glibc(const ElfFile& file);

}  // namespace runtime
