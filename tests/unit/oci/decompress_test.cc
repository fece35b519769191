// SPDX-License-Identifier: Apache-2.0
#include "oci/decompress.h"

#include <bzlib.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "tests/unit/oci/archive_builder.h"

namespace oci {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

std::string compress(Compression compression, const std::string& text) {
  std::string out(text.size() + 4096, '\0');
  std::size_t size = 0;
  if (compression == Compression::gzip) {
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<unsigned>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<unsigned>(out.size());
    deflate(&stream, Z_FINISH);
    size = stream.total_out;
    deflateEnd(&stream);
  } else if (compression == Compression::zstd) {
    size = ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3);
  } else if (compression == Compression::xz) {
    lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, nullptr,
                            reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
                            reinterpret_cast<std::uint8_t*>(out.data()), &size, out.size());
  } else if (compression == Compression::bzip2) {
    auto count = static_cast<unsigned>(out.size());
    BZ2_bzBuffToBuffCompress(out.data(), &count, const_cast<char*>(text.data()),
                             static_cast<unsigned>(text.size()), 9, 0, 0);
    size = count;
  } else {
    size = LZ4F_compressFrame(out.data(), out.size(), text.data(), text.size(), nullptr);
  }
  out.resize(size);
  return out;
}

// Gives the stream in pieces of `piece` bytes, as a pipe does.
std::string inflate_all(Compression compression, std::string data, std::size_t piece = 1 << 20) {
  std::size_t position = 0;
  const ReadStream input = [&](std::span<std::byte> out) {
    const std::size_t count = std::min(out.size(), data.size() - position);
    std::memcpy(out.data(), data.data() + position, count);
    position += count;
    return count;
  };
  Inflater inflater(compression, input, "stream");
  std::string text, chunk(piece, '\0');
  for (std::size_t count; (count = inflater.read(std::as_writable_bytes(std::span(chunk)))) > 0;)
    text.append(chunk, 0, count);
  return text;
}

class InflaterTest : public ::testing::TestWithParam<Compression> {
 protected:
  static std::string sample() {
    std::string text;
    for (int i = 0; i < 30000; ++i) text += std::to_string(i * 7919);
    return text;
  }
};

TEST_P(InflaterTest, IsDetected) {
  const std::string data = compress(GetParam(), "text");
  EXPECT_EQ(detect_compression(std::as_bytes(std::span(data))), GetParam());
}

TEST_P(InflaterTest, Inflates) {
  const std::string text = sample(), data = compress(GetParam(), text);
  EXPECT_EQ(inflate_all(GetParam(), data), text);
  EXPECT_EQ(inflate_all(GetParam(), data, 13), text);
  EXPECT_EQ(inflate_all(GetParam(), compress(GetParam(), "")), "");
}

TEST_P(InflaterTest, JoinsFrames) {
  const std::string text = sample(), data = compress(GetParam(), text);
  EXPECT_EQ(inflate_all(GetParam(), data + compress(GetParam(), "") + data), text + text);
}

TEST_P(InflaterTest, NoticesEveryTruncation) {
  const std::string data = compress(GetParam(), sample());
  const std::size_t step = data.size() / 50;
  for (std::size_t size = kMagicSize; size < data.size();
       size += size + step < data.size() ? step : 1)
    EXPECT_THAT(message_of([&] { inflate_all(GetParam(), data.substr(0, size)); }),
                HasSubstr("stream is truncated"));
}

TEST_P(InflaterTest, NoticesBytesAfterTheEnd) {
  const std::string data = compress(GetParam(), sample()) + "garbage";
  EXPECT_THAT(message_of([&] { inflate_all(GetParam(), data); }),
              HasSubstr("unexpected data after the end"));
}

TEST_P(InflaterTest, NoticesCorruption) {
  std::string data = compress(GetParam(), sample());
  for (std::size_t i = data.size() / 2; i < data.size() / 2 + 200; ++i) data[i] ^= 0x55;
  EXPECT_THAT(message_of([&] { inflate_all(GetParam(), data); }),
              AnyOf(HasSubstr("cannot decompress stream"), HasSubstr("truncated")));
}

INSTANTIATE_TEST_SUITE_P(Codecs, InflaterTest,
                         ::testing::Values(Compression::gzip, Compression::zstd, Compression::xz,
                                           Compression::bzip2, Compression::lz4),
                         [](const auto& codec) { return compression_name(codec.param); });

// RFC 1952, section 2.3: what may stand between the fixed header and the data.
TEST(Inflater, PassesOverAllFieldsOfGzipHeaders) {
  const std::string plain = compress(Compression::gzip, "text");
  for (const unsigned flags : {1U, 4U, 8U, 16U, 2U, 4U | 8U | 16U | 2U}) {
    std::string header = plain.substr(0, 10);
    header[3] = static_cast<char>(flags);
    if ((flags & 4) != 0) header += std::string("\3\0abc", 5);
    if ((flags & 8) != 0) header += std::string("name\0", 5);
    if ((flags & 16) != 0) header += std::string("comment\0", 8);
    if ((flags & 2) != 0) {
      const auto checksum = crc32(0, reinterpret_cast<const Bytef*>(header.data()),
                                  static_cast<unsigned>(header.size()));
      header += {static_cast<char>(checksum), static_cast<char>(checksum >> 8)};
    }
    const std::string data = header + plain.substr(10);
    EXPECT_EQ(inflate_all(Compression::gzip, data), "text") << flags;
    if ((flags & 2) != 0) {
      std::string damaged = data;
      damaged[4] ^= 1;
      EXPECT_THAT(message_of([&] { inflate_all(Compression::gzip, damaged); }),
                  HasSubstr("header crc mismatch"));
    }
    for (std::size_t size = kMagicSize; size < header.size(); ++size)
      EXPECT_THAT(message_of([&] { inflate_all(Compression::gzip, data.substr(0, size)); }),
                  HasSubstr("truncated"));
  }
}

TEST(Inflater, ChecksGzipTrailers) {
  const std::string data = compress(Compression::gzip, "text");
  for (const auto& [position, reason] : {std::pair(data.size() - 8, "incorrect data check"),
                                         std::pair(data.size() - 4, "incorrect length check")}) {
    std::string damaged = data;
    damaged[position] ^= 1;
    EXPECT_THAT(message_of([&] { inflate_all(Compression::gzip, damaged); }), HasSubstr(reason));
  }
}

TEST(Inflater, SkipsSkippableFrames) {
  const std::string skippable("\x50\x2a\x4d\x18\x03\0\0\0abc", 11);
  const std::string data = skippable + compress(Compression::zstd, "text") + skippable;
  EXPECT_EQ(detect_compression(std::as_bytes(std::span(data))), Compression::zstd);
  EXPECT_EQ(inflate_all(Compression::zstd, data), "text");
}

TEST(Inflater, RefusesHugeWindows) {
  // A frame header that asks for a window of 2 GiB.
  const std::string data("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00\x61", 10);
  EXPECT_THAT(message_of([&] { inflate_all(Compression::zstd, data); }),
              HasSubstr("cannot decompress stream: Frame requires too much memory"));
}

TEST(DetectCompression, LeavesTarAlone) {
  const std::string tar = ArchiveBuilder().file("a", "b").bytes();
  EXPECT_EQ(detect_compression(std::as_bytes(std::span(tar))), Compression::none);
  EXPECT_EQ(detect_compression({}), Compression::none);
}

}  // namespace
}  // namespace oci
