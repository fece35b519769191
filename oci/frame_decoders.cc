// SPDX-License-Identifier: Apache-2.0
// The FrameDecoder of each compression, over the codec's library.
#include <bzlib.h>
#include <libdeflate.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "base/bytes.h"
#include "base/error.h"
#include "oci/decompress.h"
#include "oci/deflate.h"

namespace oci {
namespace {

// zstd's own default limit; `zstd --long=31` streams would take 2 GiB.
constexpr int kMaxZstdWindowLog = 27;
constexpr std::uint64_t kMaxXzMemory = 160 << 20;  // xz -9 needs 65 MiB

// bzip2 counts in unsigned.
unsigned limited(std::size_t size) {
  return static_cast<unsigned>(
      std::min<std::size_t>(size, std::numeric_limits<unsigned>::max() / 2));
}

class NamedDecoder : public FrameDecoder {
 public:
  explicit NamedDecoder(const std::string& name) : name_(name) {}

 protected:
  template <typename... Reason>
  base::Error failure(const Reason&... reason) const {
    return base::Error(base::cat("cannot decompress ", base::printable(name_), ": ", reason...),
                       EIO);
  }

 private:
  std::string name_;
};

// RFC 1952; as strict as zlib, its messages included.
class GzipDecoder : public NamedDecoder {
 public:
  using NamedDecoder::NamedDecoder;

  Step step(std::span<const std::byte> in, std::span<std::byte> out) override {
    Step step;
    if (part_ == Part::header) {
      step.consumed = header_size(in);
      if (step.consumed == 0) return step;
      part_ = Part::body;
      checksum_ = length_ = 0;
    }
    if (part_ == Part::body) {
      const DeflateDecoder::Step body = deflate_.step(in.subspan(step.consumed), out);
      checksum_ = libdeflate_crc32(checksum_, out.data(), body.produced);
      length_ += static_cast<std::uint32_t>(body.produced);
      step.consumed += body.consumed;
      step.produced = body.produced;
      if (body.state == DeflateDecoder::State::corrupt) throw failure(deflate_.problem());
      if (body.state == DeflateDecoder::State::done) part_ = Part::trailer;
    }
    if (part_ == Part::trailer && in.size() - step.consumed >= kTrailerSize) {
      const auto trailer = in.subspan(step.consumed, kTrailerSize);
      if (base::little_endian<std::uint32_t>(trailer) != checksum_)
        throw failure("incorrect data check");
      if (base::little_endian<std::uint32_t>(trailer.subspan(4)) != length_)
        throw failure("incorrect length check");
      step.consumed += kTrailerSize;
      step.frame_done = true;
      part_ = Part::header;
    }
    return step;
  }

 private:
  enum class Part { header, body, trailer };
  static constexpr std::size_t kFixedSize = 10, kTrailerSize = 8;

  // 0 where `in` does not hold it whole.
  std::size_t header_size(std::span<const std::byte> in) const {
    constexpr unsigned kChecksum = 2, kExtra = 4, kName = 8, kComment = 16, kReserved = 0xE0;
    if (in.size() < kFixedSize) return 0;
    if (in[2] != std::byte{8}) throw failure("unknown compression method");
    const auto flags = std::to_integer<unsigned>(in[3]);
    if ((flags & kReserved) != 0) throw failure("unknown header flags set");
    std::size_t size = kFixedSize;
    if ((flags & kExtra) != 0) {
      if (in.size() < size + 2) return 0;
      size += 2 + base::little_endian<std::uint16_t>(in.subspan(size));
    }
    for (const unsigned text : {kName, kComment}) {
      if ((flags & text) == 0) continue;
      if (in.size() < size) return 0;
      const auto end = std::ranges::find(in.subspan(size), std::byte{0});
      if (end == in.end()) return 0;
      size = static_cast<std::size_t>(end - in.begin()) + 1;
    }
    if ((flags & kChecksum) != 0) {
      if (in.size() < size + 2) return 0;
      const std::uint32_t checksum = libdeflate_crc32(0, in.data(), size) & 0xFFFF;
      if (base::little_endian<std::uint16_t>(in.subspan(size)) != checksum)
        throw failure("header crc mismatch");
      size += 2;
    }
    return in.size() < size ? 0 : size;
  }

  Part part_ = Part::header;
  DeflateDecoder deflate_;
  std::uint32_t checksum_ = 0, length_ = 0;
};

class ZstdDecoder : public NamedDecoder {
 public:
  explicit ZstdDecoder(const std::string& name)
      : NamedDecoder(name), stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) throw failure("zstd cannot start");
    ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, kMaxZstdWindowLog);
  }
  ~ZstdDecoder() override { ZSTD_freeDStream(stream_); }
  ZstdDecoder(const ZstdDecoder&) = delete;
  ZstdDecoder& operator=(const ZstdDecoder&) = delete;

  Step step(std::span<const std::byte> in, std::span<std::byte> out) override {
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    const std::size_t result = ZSTD_decompressStream(stream_, &output, &input);
    if (ZSTD_isError(result) != 0) throw failure(ZSTD_getErrorName(result));
    return {input.pos, output.pos, result == 0};
  }

 private:
  ZSTD_DStream* stream_;
};

class XzDecoder : public NamedDecoder {
 public:
  explicit XzDecoder(const std::string& name) : NamedDecoder(name) { start(); }
  ~XzDecoder() override { lzma_end(&stream_); }
  XzDecoder(const XzDecoder&) = delete;
  XzDecoder& operator=(const XzDecoder&) = delete;

  Step step(std::span<const std::byte> in, std::span<std::byte> out) override {
    stream_.next_in = reinterpret_cast<const std::uint8_t*>(in.data());
    stream_.avail_in = in.size();
    stream_.next_out = reinterpret_cast<std::uint8_t*>(out.data());
    stream_.avail_out = out.size();
    const lzma_ret result = lzma_code(&stream_, LZMA_RUN);
    if (result == LZMA_MEMLIMIT_ERROR)
      throw failure("the xz stream needs more than ", kMaxXzMemory >> 20, " MiB of memory");
    if (result != LZMA_OK && result != LZMA_STREAM_END && result != LZMA_BUF_ERROR)
      throw failure("corrupt xz data");
    const Step step{in.size() - stream_.avail_in, out.size() - stream_.avail_out,
                    result == LZMA_STREAM_END};
    if (step.frame_done) start();
    return step;
  }

 private:
  void start() {
    if (lzma_stream_decoder(&stream_, kMaxXzMemory, 0) != LZMA_OK)
      throw failure("liblzma cannot start");
  }
  lzma_stream stream_ = LZMA_STREAM_INIT;
};

class Bzip2Decoder : public NamedDecoder {
 public:
  explicit Bzip2Decoder(const std::string& name) : NamedDecoder(name) { start(); }
  ~Bzip2Decoder() override { BZ2_bzDecompressEnd(&stream_); }
  Bzip2Decoder(const Bzip2Decoder&) = delete;
  Bzip2Decoder& operator=(const Bzip2Decoder&) = delete;

  Step step(std::span<const std::byte> in, std::span<std::byte> out) override {
    const unsigned in_size = limited(in.size()), out_size = limited(out.size());
    stream_.next_in = reinterpret_cast<char*>(const_cast<std::byte*>(in.data()));
    stream_.avail_in = in_size;
    stream_.next_out = reinterpret_cast<char*>(out.data());
    stream_.avail_out = out_size;
    const int result = BZ2_bzDecompress(&stream_);
    if (result != BZ_OK && result != BZ_STREAM_END) throw failure("corrupt bzip2 data");
    const Step step{in_size - stream_.avail_in, out_size - stream_.avail_out,
                    result == BZ_STREAM_END};
    if (step.frame_done) {
      BZ2_bzDecompressEnd(&stream_);
      start();
    }
    return step;
  }

 private:
  void start() {
    stream_ = {};
    if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) throw failure("bzip2 cannot start");
  }
  bz_stream stream_{};
};

class Lz4Decoder : public NamedDecoder {
 public:
  explicit Lz4Decoder(const std::string& name) : NamedDecoder(name) {
    if (LZ4F_isError(LZ4F_createDecompressionContext(&context_, LZ4F_VERSION)) != 0)
      throw failure("lz4 cannot start");
  }
  ~Lz4Decoder() override { LZ4F_freeDecompressionContext(context_); }
  Lz4Decoder(const Lz4Decoder&) = delete;
  Lz4Decoder& operator=(const Lz4Decoder&) = delete;

  Step step(std::span<const std::byte> in, std::span<std::byte> out) override {
    std::size_t consumed = in.size(), produced = out.size();
    const std::size_t result =
        LZ4F_decompress(context_, out.data(), &produced, in.data(), &consumed, nullptr);
    if (LZ4F_isError(result) != 0) throw failure(LZ4F_getErrorName(result));
    return {consumed, produced, result == 0};
  }

 private:
  LZ4F_dctx* context_ = nullptr;
};

}  // namespace

std::unique_ptr<FrameDecoder> make_frame_decoder(Compression compression, const std::string& name) {
  switch (compression) {
    case Compression::gzip:
      return std::make_unique<GzipDecoder>(name);
    case Compression::zstd:
      return std::make_unique<ZstdDecoder>(name);
    case Compression::xz:
      return std::make_unique<XzDecoder>(name);
    case Compression::bzip2:
      return std::make_unique<Bzip2Decoder>(name);
    case Compression::lz4:
      return std::make_unique<Lz4Decoder>(name);
    case Compression::none:
      break;
  }
  throw base::error("no decompressor for plain data");
}

}  // namespace oci
