// SPDX-License-Identifier: Apache-2.0
// Each thread's own codec state and input buffer, made on first use. Codec objects are costly to
// make and not thread-safe, so they stay with the thread.
#pragma once

#include <cstddef>
#include <span>

#include "sif/codec.h"

namespace sif {

Decompressor& thread_decompressor(Codec codec);

// Scratch of `size` bytes, valid until this thread's next call.
std::span<std::byte> thread_input_buffer(std::size_t size);

}  // namespace sif
