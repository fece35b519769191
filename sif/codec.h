// SPDX-License-Identifier: Apache-2.0
// Block codecs of squashfs. One object per thread: objects hold the codec's working state and are
// not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "sif/squashfs_format.h"

namespace sif {

class Decompressor {
 public:
  virtual ~Decompressor() = default;
  // Inflates one whole block into `out`; gives the bytes produced (<= out.size()). Throws Error
  // with errno EIO when the block is corrupt or larger than `out`.
  virtual std::size_t decompress(std::span<const std::byte> in, std::span<std::byte> out) = 0;
};

std::unique_ptr<Decompressor> make_decompressor(Codec codec);

// `quick` is for files so large that most of a conversion's time goes there. It differs for zstd at
// level 3 and blocks of up to 128 KiB: a third less time for an image that is 1 % larger.
enum class Search { thorough, quick };

class Compressor {
 public:
  virtual ~Compressor() = default;
  // Gives the compressed size, or 0 when the block does not shrink below in.size() (it is stored
  // then). `out` has at least in.size() bytes.
  virtual std::size_t compress(std::span<const std::byte> in, std::span<std::byte> out,
                               Search search) = 0;
};

// `level` is the codec's own (zstd 1-22, gzip by libdeflate 1-12, xz 0-9; lz4: 1-2 are fast, 3-12
// are HC); throws for a level outside its range. Deterministic: the same input gives the same bytes
// on every machine.
std::unique_ptr<Compressor> make_compressor(Codec codec, int level, std::uint32_t block_size);

}  // namespace sif
