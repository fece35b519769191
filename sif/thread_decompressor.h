// SPDX-License-Identifier: Apache-2.0
// Each thread's own codec state and input buffer, made on first use. Codec objects are costly to
// make and not thread-safe, so they stay with the thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "sif/codec.h"
#include "sif/image_bytes.h"

namespace sif {

Decompressor& thread_decompressor(Codec codec);

// Inflates the block that is stored at `position` of the image; gives the count. What the codec
// finds wrong is reported with file and offset.
std::size_t inflate_block(const ImageBytes& image, Codec codec, std::uint64_t position,
                          std::span<const std::byte> stored, std::span<std::byte> out);

// Scratch of `size` bytes, valid until this thread's next call.
std::span<std::byte> thread_input_buffer(std::size_t size);

}  // namespace sif
