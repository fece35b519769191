// SPDX-License-Identifier: Apache-2.0
// Every codec on any bytes: at most the room given is filled, and only Error is thrown. What our
// own compressors make of the bytes comes back unchanged.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "base/error.h"
#include "sif/codec.h"

namespace {

using sif::Codec;

void inflate(Codec codec, std::span<const std::byte> in, std::size_t room) {
  static std::array<std::unique_ptr<sif::Decompressor>, 7> decompressors;
  auto& decompressor = decompressors[static_cast<std::size_t>(codec)];
  if (!decompressor) decompressor = sif::make_decompressor(codec);
  std::vector<std::byte> out(room);  // of its own, so that a write beyond it is caught
  try {
    if (decompressor->decompress(in, out) > room) std::abort();
  } catch (const base::Error&) {
  }
}

void round_trip(Codec codec, std::span<const std::byte> in, sif::Search search) {
  const auto compressor = sif::make_compressor(codec, 3, 131072);
  std::vector<std::byte> packed(in.size()), out(in.size());
  const std::size_t size = compressor->compress(in, packed, search);
  if (size == 0) return;
  if (size >= in.size()) std::abort();
  const auto decompressor = sif::make_decompressor(codec);
  if (decompressor->decompress(std::span(packed).first(size), out) != in.size() ||
      !std::ranges::equal(in, out))
    std::abort();
}

}  // namespace

// The first byte chooses codec and direction.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span in = std::as_bytes(std::span(data, size)).subspan(1);
  const auto codec = static_cast<Codec>(1 + data[0] % 6);
  if (data[0] >= 0x80 && codec != Codec::lzma && codec != Codec::lzo) {
    round_trip(codec, in, (data[0] & 0x40) != 0 ? sif::Search::quick : sif::Search::thorough);
  } else {
    inflate(codec, in, (data[0] & 0x40) != 0 ? 131072 : 8192);
  }
  return 0;
}
