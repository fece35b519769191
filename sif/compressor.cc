// SPDX-License-Identifier: Apache-2.0
// The compressing half of sif/codec.h. Output never reaches the input's size: the libraries get one
// byte less room than the input has and give up when it does not do.
#include <libdeflate.h>
#include <lz4.h>
#include <lz4hc.h>
#include <lzma.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "sif/codec.h"

namespace sif {
namespace {

// Below this a wasted attempt costs nothing worth saving.
constexpr std::size_t kMinProbedSize = 16384;
constexpr std::size_t kProbeChunk = 128;
constexpr std::size_t kProbeChunks = 64;

// What evenly spread samples tell of a block: exact integer arithmetic, so that the answer is the
// same on every machine.
struct Sampled {
  // Byte frequencies are as flat as in random data. The sum of squared counts is, for uniform
  // bytes, expected to be n + n*n/256 (here n = 8192); compressed media and archives stay within 3
  // % of it, data from which entropy coding alone could gain 1 % does not.
  bool looks_random = false;
  bool is_text = false;  // none of the control characters that all else is full of
};

Sampled sample(std::span<const std::byte> in) {
  if (in.size() < kMinProbedSize) return {};
  // Two tables, since equal bytes in a row would wait for each other's count.
  std::array<std::array<std::uint32_t, 256>, 2> counts{};
  const std::size_t step = (in.size() - kProbeChunk) / (kProbeChunks - 1);
  for (std::size_t chunk = 0; chunk < kProbeChunks; ++chunk) {
    const std::span<const std::byte> piece = in.subspan(chunk * step, kProbeChunk);
    for (std::size_t i = 0; i < kProbeChunk; i += 2) {
      ++counts[0][std::to_integer<unsigned>(piece[i])];
      ++counts[1][std::to_integer<unsigned>(piece[i + 1])];
    }
  }
  std::uint64_t squares = 0, controls = 0;
  for (std::size_t value = 0; value < counts[0].size(); ++value) {
    const std::uint64_t count = counts[0][value] + counts[1][value];
    squares += count * count;
    if (value < '\t') controls += count;
  }
  constexpr std::uint64_t kSamples = kProbeChunk * kProbeChunks;
  constexpr std::uint64_t kUniform = kSamples + kSamples * kSamples / 256;
  return {squares < kUniform + kUniform / 50, controls == 0};
}

// Already compressed data: neither skewed bytes nor repeats. LZ4 runs through such data at several
// GB/s, so the probe costs a fraction of a fruitless attempt by the real codec.
bool is_incompressible(const Sampled& sampled, std::span<const std::byte> in,
                       std::span<std::byte> scratch) {
  if (!sampled.looks_random) return false;
  const int room = static_cast<int>(std::min(in.size() - in.size() / 128, scratch.size()));
  return LZ4_compress_default(reinterpret_cast<const char*>(in.data()),
                              reinterpret_cast<char*>(scratch.data()), static_cast<int>(in.size()),
                              room) == 0;
}

class GzipCompressor final : public Compressor {
 public:
  explicit GzipCompressor(int level)
      : state_(libdeflate_alloc_compressor(level), libdeflate_free_compressor) {
    if (!state_) throw std::bad_alloc();
  }
  std::size_t compress(std::span<const std::byte> in, std::span<std::byte> out, Search) override {
    if (in.empty() || is_incompressible(sample(in), in, out)) return 0;
    return libdeflate_zlib_compress(state_.get(), in.data(), in.size(), out.data(), in.size() - 1);
  }

 private:
  std::unique_ptr<libdeflate_compressor, decltype(&libdeflate_free_compressor)> state_;
};

// How zstd looks for repeats, instead of as level 3 does in blocks of 128 KiB: its tables (2^16
// long and 2^15 short matches) do not fit the cache that is nearest to a core.
constexpr int kTunedLevel = 3;
constexpr std::uint32_t kTunedBlockSize = 128 << 10;
struct Tuning {
  ZSTD_strategy strategy;
  int hash_log, chain_log, min_match;
};
// These fit, and matches of 4 bytes, where the level has 5, make up for most of what they miss.
constexpr Tuning kOfBinaries{ZSTD_dfast, 13, 12, 4};
// Words come back from further away, and 4 bytes of numbers or letters cost less than a match.
constexpr Tuning kOfText{ZSTD_dfast, 13, 14, 5};
// One table and one look per position: what very large files hold, mostly code for GPUs, has its
// matches close by.
constexpr Tuning kQuick{ZSTD_fast, 15, 15, 5};

class ZstdCompressor final : public Compressor {
 public:
  ZstdCompressor(int level, std::uint32_t block_size)
      : state_(ZSTD_createCCtx(), ZSTD_freeCCtx),
        is_tuned_(level == kTunedLevel && block_size <= kTunedBlockSize) {
    if (!state_) throw std::bad_alloc();
    set(ZSTD_c_compressionLevel, level);
  }
  std::size_t compress(std::span<const std::byte> in, std::span<std::byte> out,
                       Search search) override {
    const Sampled sampled = sample(in);
    if (in.empty() || is_incompressible(sampled, in, out)) return 0;
    if (is_tuned_) tune(search == Search::quick ? kQuick : sampled.is_text ? kOfText : kOfBinaries);
    const std::size_t size =
        ZSTD_compress2(state_.get(), out.data(), in.size() - 1, in.data(), in.size());
    return ZSTD_isError(size) != 0 ? 0 : size;
  }

 private:
  void tune(const Tuning& tuning) {
    set(ZSTD_c_strategy, tuning.strategy);
    set(ZSTD_c_hashLog, tuning.hash_log);
    set(ZSTD_c_chainLog, tuning.chain_log);
    set(ZSTD_c_minMatch, tuning.min_match);
  }
  void set(ZSTD_cParameter parameter, int value) {
    if (ZSTD_isError(ZSTD_CCtx_setParameter(state_.get(), parameter, value)) != 0)
      throw base::error("zstd does not take parameter ", static_cast<int>(parameter), " = ", value);
  }

  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> state_;
  const bool is_tuned_;
};

class Lz4Compressor final : public Compressor {
 public:
  explicit Lz4Compressor(int level) : level_(level) {}
  std::size_t compress(std::span<const std::byte> in, std::span<std::byte> out, Search) override {
    if (in.empty()) return 0;
    const char* source = reinterpret_cast<const char*>(in.data());
    char* target = reinterpret_cast<char*>(out.data());
    const int size = static_cast<int>(in.size());
    const int written = level_ < LZ4HC_CLEVEL_MIN
                            ? LZ4_compress_default(source, target, size, size - 1)
                            : LZ4_compress_HC(source, target, size, size - 1, level_);
    return static_cast<std::size_t>(std::max(written, 0));
  }

 private:
  int level_;
};

class XzCompressor final : public Compressor {
 public:
  XzCompressor(int level, std::uint32_t block_size) {
    if (lzma_lzma_preset(&options_, static_cast<std::uint32_t>(level)))
      throw base::error("xz level ", level, " is not supported by this liblzma");
    // Without an option block the kernel's decoder has room for this dictionary and no larger one.
    options_.dict_size = std::max(block_size, kMetadataBlockSize);
  }
  XzCompressor(const XzCompressor&) = delete;
  XzCompressor& operator=(const XzCompressor&) = delete;
  ~XzCompressor() override { lzma_end(&stream_); }

  std::size_t compress(std::span<const std::byte> in, std::span<std::byte> out, Search) override {
    if (in.empty() || is_incompressible(sample(in), in, out)) return 0;
    const lzma_filter filters[] = {{LZMA_FILTER_LZMA2, &options_}, {LZMA_VLI_UNKNOWN, nullptr}};
    // The kernel's decoder knows CRC32 only. Re-initialising keeps the encoder's memory.
    if (lzma_stream_encoder(&stream_, filters, LZMA_CHECK_CRC32) != LZMA_OK) throw std::bad_alloc();
    stream_.next_in = reinterpret_cast<const std::uint8_t*>(in.data());
    stream_.avail_in = in.size();
    stream_.next_out = reinterpret_cast<std::uint8_t*>(out.data());
    stream_.avail_out = in.size() - 1;
    if (lzma_code(&stream_, LZMA_FINISH) != LZMA_STREAM_END) return 0;
    return in.size() - 1 - stream_.avail_out;
  }

 private:
  lzma_options_lzma options_{};
  lzma_stream stream_ = LZMA_STREAM_INIT;
};

void check_level(Codec codec, int level, int lowest, int highest) {
  if (level < lowest || level > highest) {
    throw base::error(codec_name(codec), " level ", level, " is out of range: ", lowest, " to ",
                      highest);
  }
}

}  // namespace

std::unique_ptr<Compressor> make_compressor(Codec codec, int level, std::uint32_t block_size) {
  switch (codec) {
    case Codec::gzip:
      check_level(codec, level, 1, 12);
      return std::make_unique<GzipCompressor>(level);
    case Codec::xz:
      check_level(codec, level, 0, 9);
      return std::make_unique<XzCompressor>(level, block_size);
    case Codec::lz4:
      check_level(codec, level, 1, LZ4HC_CLEVEL_MAX);
      return std::make_unique<Lz4Compressor>(level);
    case Codec::zstd:
      check_level(codec, level, 1, ZSTD_maxCLevel());
      return std::make_unique<ZstdCompressor>(level, block_size);
    case Codec::lzma:
    case Codec::lzo:
      break;
  }
  throw base::error("squashfs compression ", codec_name(codec), " can be read, but is not written")
      .with_hint("use zstd, gzip, lz4 or xz");
}

}  // namespace sif
