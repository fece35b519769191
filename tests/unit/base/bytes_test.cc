// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace base {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(ByteReader, ReadsLittleEndianFieldsInOrder) {
  ByteReader reader(bytes_of(std::string_view("\x01\x02\xff\xff\xff\xff", 6)), "record");
  EXPECT_EQ(reader.read<std::uint16_t>(), 0x0201);
  EXPECT_EQ(reader.read<std::int32_t>(), -1);
  EXPECT_EQ(reader.remaining(), 0U);
}

TEST(ByteReader, NamesTheStructureThatIsTooShort) {
  ByteReader reader(bytes_of("abc"), "global header");
  reader.skip(2);
  try {
    reader.read<std::uint32_t>();
    FAIL() << "read past the end";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "global header is truncated: 4 bytes wanted at byte 2 of 3");
    EXPECT_EQ(error.errno_value(), EIO);
  }
  EXPECT_EQ(reader.read<std::uint8_t>(), 'c');  // a failed read consumes nothing
}

TEST(ByteReader, CutsTextAtTheFirstNul) {
  ByteReader reader(bytes_of(std::string_view("ab\0cd", 5)), "name");
  EXPECT_EQ(reader.text(5), "ab");
  EXPECT_EQ(reader.remaining(), 0U);
}

TEST(ByteWriter, IsTheInverseOfTheReader) {
  ByteWriter writer;
  writer.write<std::int64_t>(-2);
  writer.text("too long", 3);
  writer.text("x", 3);
  ByteReader reader(writer.bytes(), "record");
  EXPECT_EQ(reader.read<std::int64_t>(), -2);
  EXPECT_EQ(reader.text(3), "too");
  EXPECT_EQ(reader.text(3), "x");
}

}  // namespace
}  // namespace base
