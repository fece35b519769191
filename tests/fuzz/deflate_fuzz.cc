// SPDX-License-Identifier: Apache-2.0
// Our DEFLATE decoder beside zlib's: the same bytes and the same verdict, in whatever pieces input
// and room come.
#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "oci/deflate.h"

namespace {

constexpr std::size_t kMaxOutput = 1 << 20;

struct Result {
  std::vector<std::byte> bytes;
  oci::DeflateDecoder::State state;
};

Result inflate_with_zlib(std::span<const std::byte> in) {
  Result result{std::vector<std::byte>(kMaxOutput), oci::DeflateDecoder::State::more};
  z_stream stream{};
  inflateInit2(&stream, -15);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
  stream.avail_in = static_cast<unsigned>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.bytes.data());
  stream.avail_out = static_cast<unsigned>(result.bytes.size());
  const int code = inflate(&stream, Z_NO_FLUSH);
  if (code == Z_STREAM_END) result.state = oci::DeflateDecoder::State::done;
  if (code == Z_DATA_ERROR) result.state = oci::DeflateDecoder::State::corrupt;
  result.bytes.resize(stream.total_out);
  inflateEnd(&stream);
  return result;
}

Result inflate_in_pieces(std::span<const std::byte> in, std::size_t piece, std::size_t room) {
  Result result{{}, oci::DeflateDecoder::State::more};
  oci::DeflateDecoder decoder;
  std::vector<std::byte> chunk(room);
  for (std::size_t offered = piece; result.bytes.size() < kMaxOutput;) {
    // A copy of its own, so that reading behind it is found.
    const auto part = in.first(std::min(offered, in.size()));
    const std::vector<std::byte> copy(part.begin(), part.end());
    const std::size_t left = std::min(room, kMaxOutput - result.bytes.size());
    const auto step = decoder.step(copy, std::span(chunk).first(left));
    result.bytes.insert(result.bytes.end(), chunk.begin(),
                        chunk.begin() + static_cast<std::ptrdiff_t>(step.produced));
    in = in.subspan(step.consumed);
    result.state = step.state;
    if (step.state != oci::DeflateDecoder::State::more) break;
    const bool has_moved = step.consumed > 0 || step.produced > 0;
    if (!has_moved && offered >= in.size()) break;
    if (!has_moved && offered >= 1024) std::abort();
    offered = has_moved ? piece : offered + piece;
  }
  return result;
}

}  // namespace

// The first two bytes choose the pieces.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::span in = std::as_bytes(std::span(data, size)).subspan(2);
  const std::size_t piece = data[0] == 255 ? in.size() + 1 : data[0] + std::size_t{1};
  const std::size_t room = data[1] == 255 ? kMaxOutput : data[1] * std::size_t{16} + 1;
  const Result theirs = inflate_with_zlib(in), ours = inflate_in_pieces(in, piece, room);
  if (theirs.bytes.size() == kMaxOutput) {
    if (ours.bytes != theirs.bytes) std::abort();
    return 0;
  }
  // Where input ends, what is corrupt may not be known yet: zlib judges fewer bits than a code may
  // have, and later that a code of code lengths has no symbols.
  const bool both_failed = ours.state != oci::DeflateDecoder::State::done &&
                           theirs.state != oci::DeflateDecoder::State::done;
  if ((ours.state != theirs.state && !both_failed) || ours.bytes != theirs.bytes) std::abort();
  return 0;
}
