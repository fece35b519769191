// SPDX-License-Identifier: Apache-2.0
#include "oci/file_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/unit/oci/archive_builder.h"

namespace oci {
namespace {

using ::testing::HasSubstr;

TEST(FileSource, ReadsItsRangeOnly) {
  const FileSource whole = memory_file("0123456789", "file");
  const FileSource part = whole.part(2, 5, "part").part(1, 3, "inner");
  EXPECT_EQ(read_text(part, 100), "345");
  std::array<std::byte, 2> out{};
  EXPECT_THAT(message_of([&] { part.read_at(2, out); }), HasSubstr("inner is truncated"));
  EXPECT_THAT(message_of([&] { part.read_at(std::numeric_limits<std::uint64_t>::max(), out); }),
              HasSubstr("truncated"));
}

TEST(FileSource, RefusesPartsOutside) {
  const FileSource whole = memory_file("0123456789", "file");
  EXPECT_THAT(message_of([&] { (void)whole.part(5, 6, "part"); }),
              HasSubstr("file is truncated: it has 10 bytes, but part needs 6 at offset 5"));
}

TEST(FileSource, LimitsTexts) {
  EXPECT_THAT(message_of([] { read_text(memory_file("12345", "doc"), 4); }),
              HasSubstr("doc has 5 bytes, more than the 4"));
}

TEST(TextSource, ReadsItsTextOnly) {
  const TextSource source("hello");
  std::string out(3, ' ');
  source.read_at(2, std::as_writable_bytes(std::span(out)));
  EXPECT_EQ(out, "llo");
  EXPECT_THAT(message_of([&] { source.read_at(3, std::as_writable_bytes(std::span(out))); }),
              HasSubstr("a generated file was read beyond its end"));
}

}  // namespace
}  // namespace oci
