// SPDX-License-Identifier: Apache-2.0
#include "runtime/elf_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>

#include "base/syscalls.h"
#include "tests/unit/runtime/elf_builder.h"

namespace runtime {
namespace {

using testing::ElementsAre;

std::optional<ElfFile> parse(const std::string& bytes) {
  const base::UniqueFd fd(::memfd_create("elf", MFD_CLOEXEC));
  base::write_all(fd.get(), bytes, "memory file");
  return find_elf(fd.get());
}

const ElfPlan kPython = {"/lib64/ld-linux-x86-64.so.2",
                         "",
                         "$ORIGIN/../lib",
                         {"libpython3.11.so.1.0", "libc.so.6"},
                         {{"libm.so.6", "GLIBC_2.29"}, {"libc.so.6", "GLIBC_2.35"}},
                         {}};

TEST(ElfFile, TellsWhatTheLoaderWouldRead) {
  const std::optional<ElfFile> file = parse(ElfBuilder::build(kPython));
  ASSERT_TRUE(file.has_value());
  EXPECT_TRUE(file->is_64);
  EXPECT_EQ(file->interpreter, "/lib64/ld-linux-x86-64.so.2");
  EXPECT_EQ(file->rpath, "$ORIGIN/../lib");
  EXPECT_THAT(file->needed, ElementsAre("libpython3.11.so.1.0", "libc.so.6"));
  EXPECT_THAT(file->version_needs, ElementsAre(ElfVersionNeed{"libm.so.6", "GLIBC_2.29"},
                                               ElfVersionNeed{"libc.so.6", "GLIBC_2.35"}));
  EXPECT_EQ(needed_glibc(*file).text(), "2.35");
}

TEST(ElfFile, TellsWhatALibraryDefines) {
  ElfPlan plan;
  plan.soname = "libc.so.6";
  plan.version_definitions = {"libc.so.6", "GLIBC_2.2.5", "GLIBC_2.9", "GLIBC_2.31",
                              "GLIBC_PRIVATE"};
  const std::optional<ElfFile> file = parse(ElfBuilder::build(plan));
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(file->soname, "libc.so.6");
  EXPECT_EQ(defined_glibc(*file).text(), "2.31");
}

TEST(ElfFile, ReadsThisVeryProgram) {
  const base::UniqueFd fd = base::open_file("/proc/self/exe", O_RDONLY);
  const std::optional<ElfFile> file = find_elf(fd.get());
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(file->machine, native_abi()->elf_machine);
}

TEST(ElfFile, TruncationAtAnyByteIsNoElf) {
  const std::string whole = ElfBuilder::build(kPython);
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(parse(whole.substr(0, size)).has_value()) << size;
}

TEST(ElfFile, EveryDamagedByteEndsInAnAnswer) {
  constexpr std::size_t kMagicSize = 4;
  const std::string bytes = ElfBuilder::build(kPython);
  const auto fits = [&](const std::string& name) { return name.size() <= bytes.size(); };
  int refused = 0, read = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (const char value : {'\xff', '\x00', '\x80'}) {
      std::string damaged = bytes;
      damaged[i] = value;
      const std::optional<ElfFile> file = parse(damaged);
      ++(file ? read : refused);
      if (!file) continue;
      EXPECT_GE(i, kMagicSize);
      EXPECT_TRUE(fits(file->interpreter) && fits(file->rpath) && fits(file->soname)) << i;
      EXPECT_TRUE(std::ranges::all_of(file->needed, fits)) << i;
      for (const ElfVersionNeed& need : file->version_needs)
        EXPECT_TRUE(fits(need.library) && fits(need.version)) << i;
      EXPECT_LE(file->needed.size(), kPython.needed.size()) << i;
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(read, 100);
}

TEST(ElfFile, OtherFilesAreNone) {
  EXPECT_FALSE(parse("").has_value());
  EXPECT_FALSE(parse("#!/bin/sh\n").has_value());
  std::string big_endian = ElfBuilder::build({});
  big_endian[5] = 2;
  EXPECT_FALSE(parse(big_endian).has_value());
}

TEST(GlibcVersion, ComparesByNumber) {
  EXPECT_LT(*parse_glibc_version("GLIBC_2.9"), *parse_glibc_version("GLIBC_2.31"));
  EXPECT_EQ(parse_glibc_version("GLIBC_2.2.5")->text(), "2.2");
  EXPECT_FALSE(parse_glibc_version("GLIBC_PRIVATE").has_value());
  EXPECT_FALSE(parse_glibc_version("GLIBC_2").has_value());
  EXPECT_FALSE(parse_glibc_version("GLIBCXX_3.4").has_value());
}

}  // namespace
}  // namespace runtime
