// SPDX-License-Identifier: Apache-2.0
#include "sif/thread_decompressor.h"

#include <array>
#include <bit>
#include <memory>

namespace sif {

Decompressor& thread_decompressor(Codec codec) {
  thread_local std::array<std::unique_ptr<Decompressor>, 8> decompressors;
  std::unique_ptr<Decompressor>& decompressor = decompressors.at(static_cast<std::size_t>(codec));
  if (!decompressor) decompressor = make_decompressor(codec);
  return *decompressor;
}

std::size_t inflate_block(const ImageBytes& image, Codec codec, std::uint64_t position,
                          std::span<const std::byte> stored, std::span<std::byte> out) {
  try {
    return thread_decompressor(codec).decompress(stored, out);
  } catch (const base::Error& error) {
    throw image.corrupt("block at offset ", position, " of ", stored.size(),
                        " bytes: ", error.what());
  }
}

std::span<std::byte> thread_input_buffer(std::size_t size) {
  thread_local std::unique_ptr<std::byte[]> buffer;
  thread_local std::size_t capacity = 0;
  if (capacity < size) {
    const std::size_t wanted = std::bit_ceil(size);
    buffer = std::make_unique_for_overwrite<std::byte[]>(wanted);
    capacity = wanted;
  }
  return {buffer.get(), size};
}

}  // namespace sif
