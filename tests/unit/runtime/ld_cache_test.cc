// SPDX-License-Identifier: Apache-2.0
#include "runtime/ld_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/runtime/elf_builder.h"

namespace runtime {
namespace {

std::optional<LdCache> parse(const std::string& bytes) {
  return LdCache::parse({bytes.begin(), bytes.end()});
}

TEST(LdCache, ListsEntriesInOrder) {
  const auto cache = parse(build_ld_cache({{"libcuda.so.1", "/usr/lib/libcuda.so.1", 0x0303},
                                           {"libcuda.so.1", "/usr/lib32/libcuda.so.1", 0x0003}}));
  ASSERT_TRUE(cache.has_value());
  ASSERT_EQ(cache->entries().size(), 2U);
  EXPECT_EQ(cache->entries()[0].name, "libcuda.so.1");
  EXPECT_EQ(cache->entries()[0].path, "/usr/lib/libcuda.so.1");
  EXPECT_EQ(cache->entries()[1].flags, 0x0003U);
}

TEST(LdCache, IsFoundBehindTheOldTable) {
  base::ByteWriter old;
  old.text("ld.so-1.7.0", 12);
  old.write<std::uint32_t>(1);
  old.zeros(12 + 4);  // one entry, and up to a multiple of eight
  std::string bytes(reinterpret_cast<const char*>(old.bytes().data()), old.bytes().size());
  const auto cache = parse(bytes + build_ld_cache({{"liba.so.1", "/lib/liba.so.1"}}));
  ASSERT_TRUE(cache.has_value());
  EXPECT_EQ(cache->entries()[0].path, "/lib/liba.so.1");
}

TEST(LdCache, OtherBytesAreNoCache) {
  EXPECT_FALSE(parse("").has_value());
  EXPECT_FALSE(parse("glibc-ld.so.cache1.1").has_value());
  std::string huge = build_ld_cache({{"liba.so.1", "/lib/liba.so.1"}});
  huge[23] = '\x7f';  // two billion entries
  EXPECT_FALSE(parse(huge).has_value());
}

TEST(LdCache, EntriesOutsideTheFileAreLeftOut) {
  std::string bytes = build_ld_cache({{"liba.so.1", "/lib/liba.so.1"}, {"libb.so.1", "/b"}});
  bytes[48 + 7] = '\x7f';  // the first name's offset
  const auto cache = parse(bytes);
  ASSERT_TRUE(cache.has_value());
  ASSERT_EQ(cache->entries().size(), 1U);
  EXPECT_EQ(cache->entries()[0].name, "libb.so.1");
}

TEST(LdCache, SurvivesItsMove) {
  auto cache = parse(build_ld_cache({{"liba.so.1", "/lib/liba.so.1"}}));
  const LdCache moved = std::move(*cache);
  EXPECT_EQ(moved.entries()[0].name, "liba.so.1");
}

TEST(LibraryAbi, IsThatOfTheMachine) {
  ASSERT_NE(native_abi(), nullptr);
  EXPECT_TRUE(native_abi()->is_64);
}

}  // namespace
}  // namespace runtime
