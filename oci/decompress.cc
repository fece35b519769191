// SPDX-License-Identifier: Apache-2.0
#include "oci/decompress.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace oci {
namespace {

constexpr std::size_t kInputSize = 256 << 10;

struct Magic {
  Compression compression;
  std::string_view bytes;
};
constexpr std::array<Magic, 5> kMagics = {{
    {Compression::gzip, std::string_view("\x1f\x8b\x08", 3)},
    {Compression::zstd, std::string_view("\x28\xb5\x2f\xfd", 4)},
    {Compression::xz, std::string_view("\xfd\x37\x7a\x58\x5a\x00", 6)},
    {Compression::bzip2, std::string_view("BZh", 3)},
    {Compression::lz4, std::string_view("\x04\x22\x4d\x18", 4)},
}};

bool begins_with(std::span<const std::byte> data, std::string_view bytes) {
  return data.size() >= bytes.size() && std::memcmp(data.data(), bytes.data(), bytes.size()) == 0;
}

// zstd and lz4 share frames that decoders skip (pzstd and estargz write them): 0x184D2A5?.
bool begins_skippable_frame(Compression compression, std::span<const std::byte> data) {
  if (compression != Compression::zstd && compression != Compression::lz4) return false;
  return data.size() >= 4 && (data[0] & std::byte{0xF0}) == std::byte{0x50} &&
         begins_with(data.subspan(1), std::string_view("\x2a\x4d\x18", 3));
}

}  // namespace

const char* compression_name(Compression compression) {
  switch (compression) {
    case Compression::none:
      return "none";
    case Compression::gzip:
      return "gzip";
    case Compression::zstd:
      return "zstd";
    case Compression::xz:
      return "xz";
    case Compression::bzip2:
      return "bzip2";
    case Compression::lz4:
      return "lz4";
  }
  return "unknown";
}

Compression detect_compression(std::span<const std::byte> start) {
  for (const Magic& magic : kMagics) {
    if (begins_with(start, magic.bytes)) return magic.compression;
  }
  return begins_skippable_frame(Compression::zstd, start) ? Compression::zstd : Compression::none;
}

Inflater::Inflater(Compression compression, ReadStream input, std::string name)
    : compression_(compression),
      input_(std::move(input)),
      name_(std::move(name)),
      decoder_(make_frame_decoder(compression, name_)),
      buffer_(kInputSize) {}

// Keeps the unread bytes at the front; false when there is nothing more.
bool Inflater::refill() {
  if (input_ended_) return false;
  std::copy(pending_.begin(), pending_.end(), buffer_.begin());
  const std::size_t kept = pending_.size();
  const std::size_t count = input_(std::span(buffer_).subspan(kept));
  input_ended_ = count < buffer_.size() - kept;
  pending_ = std::span<const std::byte>(buffer_).first(kept + count);
  return count > 0;
}

// Behind an xz stream there may be zeros, in fours (The .xz File Format, section 2.2).
void Inflater::skip_stream_padding() {
  constexpr std::string_view kPadding("\0\0\0\0", 4);
  while (begins_with(pending_, kPadding)) {
    pending_ = pending_.subspan(kPadding.size());
    if (pending_.size() < kMagicSize) refill();
  }
}

// False at the proper end of the stream.
bool Inflater::begin_frame() {
  if (pending_.size() < kMagicSize) refill();
  if (compression_ == Compression::xz) skip_stream_padding();
  if (pending_.empty()) return false;
  if (detect_compression(pending_) != compression_ &&
      !begins_skippable_frame(compression_, pending_)) {
    throw base::Error(base::cat(base::printable(name_), ": unexpected data after the end of the ",
                                compression_name(compression_), " stream"),
                      EIO);
  }
  return true;
}

std::size_t Inflater::read(std::span<std::byte> out) {
  std::size_t filled = 0;
  while (filled < out.size() && !ended_) {
    if (!in_frame_) {
      in_frame_ = begin_frame();
      ended_ = !in_frame_;
      continue;
    }
    if (pending_.empty()) refill();
    const FrameDecoder::Step step = decoder_->step(pending_, out.subspan(filled));
    pending_ = pending_.subspan(step.consumed);
    filled += step.produced;
    in_frame_ = !step.frame_done;
    if (in_frame_ && step.consumed == 0 && step.produced == 0 && !refill()) {
      throw base::Error(base::cat(base::printable(name_), " is truncated: the ",
                                  compression_name(compression_), " stream has no end"),
                        EIO);
    }
  }
  return filled;
}

ReadStream inflated_stream(Compression compression, ReadStream input, const std::string& name) {
  if (compression == Compression::none) return input;
  const auto inflater = std::make_shared<Inflater>(compression, std::move(input), name);
  return [inflater](std::span<std::byte> out) { return inflater->read(out); };
}

}  // namespace oci
