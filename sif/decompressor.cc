// SPDX-License-Identifier: Apache-2.0
// The inflating half of sif/codec.h. Every library call below is the bounds-checked one: input is
// hostile, and the output never exceeds the given span.
#include <libdeflate.h>
#include <lz4.h>
#include <lzma.h>
#include <lzo/lzo1x.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "sif/codec.h"

namespace sif {
namespace {

// Dictionaries in squashfs never exceed the block (1 MiB); the decoder itself needs a little more.
constexpr std::uint64_t kLzmaMemoryLimit = 32 << 20;

base::Error corrupt(Codec codec, std::size_t size, std::string_view reason) {
  return base::Error(
      base::cat("corrupt ", codec_name(codec), " block of ", size, " bytes: ", reason), EIO);
}

const std::uint8_t* bytes_of(std::span<const std::byte> data) {
  return reinterpret_cast<const std::uint8_t*>(data.data());
}
std::uint8_t* bytes_of(std::span<std::byte> data) {
  return reinterpret_cast<std::uint8_t*>(data.data());
}

class GzipDecompressor final : public Decompressor {
 public:
  GzipDecompressor() : state_(libdeflate_alloc_decompressor(), libdeflate_free_decompressor) {
    if (!state_) throw std::bad_alloc();
  }
  std::size_t decompress(std::span<const std::byte> in, std::span<std::byte> out) override {
    std::size_t produced = 0;
    switch (libdeflate_zlib_decompress(state_.get(), in.data(), in.size(), out.data(), out.size(),
                                       &produced)) {
      case LIBDEFLATE_SUCCESS:
        return produced;
      case LIBDEFLATE_INSUFFICIENT_SPACE:
        throw corrupt(Codec::gzip, in.size(), "it inflates to more than a block");
      default:
        throw corrupt(Codec::gzip, in.size(), "invalid data");
    }
  }

 private:
  std::unique_ptr<libdeflate_decompressor, decltype(&libdeflate_free_decompressor)> state_;
};

class ZstdDecompressor final : public Decompressor {
 public:
  ZstdDecompressor() : state_(ZSTD_createDCtx(), ZSTD_freeDCtx) {
    if (!state_) throw std::bad_alloc();
  }
  std::size_t decompress(std::span<const std::byte> in, std::span<std::byte> out) override {
    const std::size_t produced =
        ZSTD_decompressDCtx(state_.get(), out.data(), out.size(), in.data(), in.size());
    if (ZSTD_isError(produced) != 0)
      throw corrupt(Codec::zstd, in.size(), ZSTD_getErrorName(produced));
    return produced;
  }

 private:
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> state_;
};

// Both take int sizes; blocks are far smaller, but a caller's mistake must not become a negative
// count.
int checked_int(Codec codec, std::size_t size) {
  if (size > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    throw corrupt(codec, size, "too large");
  return static_cast<int>(size);
}

class Lz4Decompressor final : public Decompressor {
 public:
  std::size_t decompress(std::span<const std::byte> in, std::span<std::byte> out) override {
    const int produced = LZ4_decompress_safe(
        reinterpret_cast<const char*>(in.data()), reinterpret_cast<char*>(out.data()),
        checked_int(Codec::lz4, in.size()), checked_int(Codec::lz4, out.size()));
    if (produced < 0) throw corrupt(Codec::lz4, in.size(), "invalid data or more than a block");
    return static_cast<std::size_t>(produced);
  }
};

class LzoDecompressor final : public Decompressor {
 public:
  std::size_t decompress(std::span<const std::byte> in, std::span<std::byte> out) override {
    lzo_uint produced = out.size();
    const int result =
        lzo1x_decompress_safe(bytes_of(in), in.size(), bytes_of(out), &produced, nullptr);
    if (result != LZO_E_OK)
      throw corrupt(Codec::lzo, in.size(), "invalid data or more than a block");
    return produced;
  }
};

// liblzma keeps its allocations when a stream is initialised again, so one stream serves all
// blocks.
class LzmaStream {
 public:
  LzmaStream() = default;
  LzmaStream(const LzmaStream&) = delete;
  LzmaStream& operator=(const LzmaStream&) = delete;
  ~LzmaStream() { lzma_end(&stream_); }
  lzma_stream* get() { return &stream_; }
  lzma_stream* operator->() { return &stream_; }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
};

class XzDecompressor final : public Decompressor {
 public:
  std::size_t decompress(std::span<const std::byte> in, std::span<std::byte> out) override {
    if (lzma_stream_decoder(stream_.get(), kLzmaMemoryLimit, 0) != LZMA_OK) throw std::bad_alloc();
    stream_->next_in = bytes_of(in);
    stream_->avail_in = in.size();
    stream_->next_out = bytes_of(out);
    stream_->avail_out = out.size();
    const lzma_ret result = lzma_code(stream_.get(), LZMA_FINISH);
    if (result == LZMA_MEMLIMIT_ERROR)
      throw corrupt(Codec::xz, in.size(), "its dictionary is larger than any block");
    if (result != LZMA_STREAM_END)
      throw corrupt(Codec::xz, in.size(), "invalid data or more than a block");
    return out.size() - stream_->avail_out;
  }

 private:
  LzmaStream stream_;
};

// The .lzma form that squashfs-tools writes: 5 bytes of properties, 8 bytes of size, data with or
// without an end marker.
class LzmaDecompressor final : public Decompressor {
 public:
  std::size_t decompress(std::span<const std::byte> in, std::span<std::byte> out) override {
    if (in.size() < kHeaderSize) throw corrupt(Codec::lzma, in.size(), "shorter than its header");
    const auto declared = base::little_endian<std::uint64_t>(in.subspan(kSizeOffset));
    if (declared > out.size())
      throw corrupt(Codec::lzma, in.size(), "it inflates to more than a block");

    // "Unknown size" makes liblzma accept both forms; the output space enforces the declared size.
    std::array<std::byte, kHeaderSize> header;
    std::memcpy(header.data(), in.data(), kHeaderSize);
    std::fill_n(header.begin() + kSizeOffset, 8, std::byte{0xFF});
    if (lzma_alone_decoder(stream_.get(), kLzmaMemoryLimit) != LZMA_OK) throw std::bad_alloc();
    stream_->next_out = bytes_of(out);
    stream_->avail_out = static_cast<std::size_t>(declared);
    lzma_ret result = feed(header, LZMA_RUN);
    if (result == LZMA_OK) result = feed(in.subspan(kHeaderSize), LZMA_FINISH);
    const bool complete = stream_->avail_out == 0;
    if (!complete || (result != LZMA_STREAM_END && result != LZMA_OK && result != LZMA_BUF_ERROR))
      throw corrupt(Codec::lzma, in.size(), "invalid data");
    return static_cast<std::size_t>(declared);
  }

 private:
  static constexpr std::size_t kSizeOffset = 5;
  static constexpr std::size_t kHeaderSize = 13;

  lzma_ret feed(std::span<const std::byte> data, lzma_action action) {
    stream_->next_in = bytes_of(data);
    stream_->avail_in = data.size();
    return lzma_code(stream_.get(), action);
  }

  LzmaStream stream_;
};

}  // namespace

std::unique_ptr<Decompressor> make_decompressor(Codec codec) {
  switch (codec) {
    case Codec::gzip:
      return std::make_unique<GzipDecompressor>();
    case Codec::lzma:
      return std::make_unique<LzmaDecompressor>();
    case Codec::lzo:
      return std::make_unique<LzoDecompressor>();
    case Codec::xz:
      return std::make_unique<XzDecompressor>();
    case Codec::lz4:
      return std::make_unique<Lz4Decompressor>();
    case Codec::zstd:
      return std::make_unique<ZstdDecompressor>();
  }
  throw base::Error(
      base::cat("unknown squashfs compression ", static_cast<unsigned>(codec), ", expected 1 to 6"),
      EIO);
}

}  // namespace sif
