// SPDX-License-Identifier: Apache-2.0
#include "sif/codec.h"

#include <gtest/gtest.h>
#include <lzma.h>
#include <lzo/lzo1x.h>
#include <zstd.h>

#include <cerrno>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"

namespace sif {
namespace {

using Bytes = std::vector<std::byte>;

Bytes text_like(std::size_t size) {
  Bytes bytes(size);
  std::mt19937 random(7);
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = i > 64 && random() % 4 != 0 ? bytes[i - 37] : static_cast<std::byte>(random() % 64);
  return bytes;
}

Bytes random_bytes(std::size_t size) {
  Bytes bytes(size);
  std::mt19937 random(11);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

struct Case {
  Codec codec;
  int level;
  Search search = Search::thorough;
};

std::unique_ptr<Compressor> make_case_compressor(const Case& c) {
  return make_compressor(c.codec, c.level, 131072);
}

class CodecTest : public testing::TestWithParam<Case> {};

TEST_P(CodecTest, RoundTripsEverySize) {
  const auto compressor = make_case_compressor(GetParam());
  const auto decompressor = make_decompressor(GetParam().codec);
  for (const std::size_t size : {1000, 4096, 8192, 65537, 131072}) {
    const Bytes in = text_like(size);
    Bytes packed(size), out(size);
    const std::size_t packed_size = compressor->compress(in, packed, GetParam().search);
    ASSERT_GT(packed_size, 0U) << size;
    ASSERT_LT(packed_size, size);
    ASSERT_EQ(decompressor->decompress(std::span(packed).first(packed_size), out), size);
    ASSERT_EQ(out, in);
  }
}

TEST_P(CodecTest, StoresWhatDoesNotShrink) {
  const auto compressor = make_case_compressor(GetParam());
  for (const std::size_t size : {1, 100, 8192, 131072}) {
    Bytes packed(size);
    EXPECT_EQ(compressor->compress(random_bytes(size), packed, GetParam().search), 0U) << size;
  }
}

TEST_P(CodecTest, FlatBytesWithRepeatsAreStillCompressed) {
  Bytes in = random_bytes(20000);
  in.insert(in.end(), in.begin(), in.end());
  Bytes packed(in.size());
  const auto compressor = make_case_compressor(GetParam());
  const std::size_t size = compressor->compress(in, packed, GetParam().search);
  EXPECT_GT(size, 0U);
  EXPECT_LT(size, 22000U);
}

TEST_P(CodecTest, OutputLargerThanTheBlockIsCorrupt) {
  const auto compressor = make_case_compressor(GetParam());
  const auto decompressor = make_decompressor(GetParam().codec);
  const Bytes in = text_like(8192);
  Bytes packed(in.size()), out(8191);
  const std::size_t size = compressor->compress(in, packed, GetParam().search);
  try {
    decompressor->decompress(std::span(packed).first(size), out);
    FAIL() << "accepted";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.errno_value(), EIO);
    EXPECT_NE(std::string(error.what()).find("corrupt"), std::string::npos) << error.what();
  }
}

TEST_P(CodecTest, TruncatedAndDamagedBlocksNeverCrash) {
  const auto compressor = make_case_compressor(GetParam());
  const auto decompressor = make_decompressor(GetParam().codec);
  const Bytes in = text_like(8192);
  Bytes packed(in.size()), out(8192);
  const std::size_t size = compressor->compress(in, packed, GetParam().search);
  for (std::size_t cut = 0; cut < size; cut += 13) {
    try {
      EXPECT_LE(decompressor->decompress(std::span(packed).first(cut), out), out.size());
    } catch (const base::Error& error) {
      EXPECT_EQ(error.errno_value(), EIO);
    }
    Bytes damaged(packed.begin(), packed.begin() + static_cast<std::ptrdiff_t>(size));
    damaged[cut] ^= std::byte{0x55};
    try {
      EXPECT_LE(decompressor->decompress(damaged, out), out.size());
    } catch (const base::Error& error) {
      EXPECT_EQ(error.errno_value(), EIO);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, CodecTest,
                         testing::Values(Case{Codec::zstd, 3}, Case{Codec::zstd, 19},
                                         Case{Codec::zstd, 3, Search::quick}, Case{Codec::gzip, 6},
                                         Case{Codec::gzip, 12}, Case{Codec::lz4, 1},
                                         Case{Codec::lz4, 12}, Case{Codec::xz, 0},
                                         Case{Codec::xz, 6}),
                         [](const auto& each) {
                           return std::string(codec_name(each.param.codec)) +
                                  std::to_string(each.param.level) +
                                  (each.param.search == Search::quick ? "quick" : "");
                         });

TEST(DecompressorTest, ReadsLzo) {
  const Bytes in = text_like(8192);
  Bytes packed(16384), work(LZO1X_1_MEM_COMPRESS), out(8192);
  lzo_uint size = packed.size();
  ASSERT_EQ(lzo1x_1_compress(reinterpret_cast<const unsigned char*>(in.data()), in.size(),
                             reinterpret_cast<unsigned char*>(packed.data()), &size, work.data()),
            LZO_E_OK);
  EXPECT_EQ(make_decompressor(Codec::lzo)->decompress(std::span(packed).first(size), out), 8192U);
  EXPECT_EQ(out, in);
  EXPECT_THROW(make_decompressor(Codec::lzo)->decompress(std::span(packed).first(size / 2), out),
               base::Error);
}

TEST(DecompressorTest, ReadsLzmaWithItsSizeInTheHeader) {
  const Bytes in = text_like(8192);
  Bytes packed(16384), out(131072);
  lzma_stream stream = LZMA_STREAM_INIT;
  lzma_options_lzma options;
  lzma_lzma_preset(&options, 6);
  options.dict_size = 131072;
  ASSERT_EQ(lzma_alone_encoder(&stream, &options), LZMA_OK);
  stream.next_in = reinterpret_cast<const std::uint8_t*>(in.data());
  stream.avail_in = in.size();
  stream.next_out = reinterpret_cast<std::uint8_t*>(packed.data());
  stream.avail_out = packed.size();
  ASSERT_EQ(lzma_code(&stream, LZMA_FINISH), LZMA_STREAM_END);
  const std::size_t size = packed.size() - stream.avail_out;
  lzma_end(&stream);
  for (std::size_t i = 0; i < 8; ++i) packed[5 + i] = static_cast<std::byte>(8192ULL >> (8 * i));

  const auto decompressor = make_decompressor(Codec::lzma);
  EXPECT_EQ(decompressor->decompress(std::span(packed).first(size), out), 8192U);
  EXPECT_EQ(Bytes(out.begin(), out.begin() + 8192), in);
  EXPECT_THROW(decompressor->decompress(std::span(packed).first(size / 2), out), base::Error);
  EXPECT_THROW(decompressor->decompress(std::span(packed).first(size), std::span(out).first(8000)),
               base::Error);
}

// Words that come back from far away, and numbers.
std::string words() {
  std::mt19937 random(3);
  std::vector<std::string> known;
  for (int i = 0; i < 4000; ++i) known.push_back(std::to_string(random()).substr(0, 7));
  std::string text;
  while (text.size() < 131072) text += known[random() % known.size()] + " ";
  return text.substr(0, 131072);
}
std::string numbers() {
  std::mt19937 random(4);
  std::string text;
  while (text.size() < 131072) text += "0." + std::to_string(random() % 10000) + ",";
  return text.substr(0, 131072);
}

TEST(CompressorTest, TunedSearchFindsInTextWhatTheLevelFinds) {
  for (const std::string& text : {words(), numbers()}) {
    std::vector<char> plain(ZSTD_compressBound(text.size()));
    const std::size_t wanted =
        ZSTD_compress(plain.data(), plain.size(), text.data(), text.size(), 3);
    Bytes out(text.size());
    const std::size_t size = make_compressor(Codec::zstd, 3, 131072)
                                 ->compress(std::as_bytes(std::span(text)), out, Search::thorough);
    EXPECT_GT(size, 0U);
    EXPECT_LT(size, wanted + wanted / 20) << text.substr(0, 20);
  }
}

TEST(CompressorTest, LevelsOutOfRangeAreNamed) {
  try {
    make_compressor(Codec::zstd, 99, 131072);
    FAIL() << "accepted";
  } catch (const base::Error& error) {
    EXPECT_STREQ(error.what(), "zstd level 99 is out of range: 1 to 22");
  }
  EXPECT_THROW(make_compressor(Codec::gzip, 0, 131072), base::Error);
  EXPECT_THROW(make_compressor(Codec::lzo, 1, 131072), base::Error);
}

}  // namespace
}  // namespace sif
