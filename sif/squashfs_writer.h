// SPDX-License-Identifier: Apache-2.0
// tree -> squashfs 4.0, at an offset of an output file. Producer, compressing workers, ordered
// publication, hash-first deduplication; libsquashfs writes the metadata tables. The same tree
// gives the same bytes for any number of threads.
#pragma once

#include <atomic>
#include <cstdint>

#include "sif/squashfs_format.h"
#include "sif/tree.h"

namespace sif {

struct SquashfsOptions {
  Codec codec = Codec::zstd;
  int level = 3;
  std::uint32_t block_size = kDefaultBlockSize;
  unsigned threads = 1;             // compressing workers, at least 1
  std::uint32_t modified_time = 0;  // superblock time, seconds since the epoch

  // What every start reads is stored as it is, and so are most inodes and listings: an image is
  // about 1 % larger for it. Who chose a codec or level for its size wants every byte.
  bool favours_starts() const {
    return codec == Codec::lz4 || (codec == Codec::zstd && level <= 3);
  }
  // Files of images with the same codec and block size are not compressed anew.
  bool takes_stored_blocks() const {
    return favours_starts() || (codec == Codec::gzip && level <= 6);
  }
};

struct SquashfsStats {
  std::uint64_t image_bytes = 0;  // size of the file system, padded to 4,096
  std::uint64_t inodes = 0;
  std::uint64_t input_bytes = 0;  // file content before compression, duplicates counted
  std::uint64_t duplicate_bytes = 0;
};

// Shared with the thread that draws the progress bar, and a way to stop early.
struct WriteProgress {
  std::atomic<std::uint64_t> bytes_total{0};  // of the tree's file content; 0 until it is known
  std::atomic<std::uint64_t> bytes_done{0};   // of bytes_total
  std::atomic<bool> cancelled{false};  // set by another thread: write_squashfs throws soon after
};

// Writes at `offset` of `fd` (seekable, writable, borrowed). Throws Error on I/O failure, on what
// squashfs cannot hold, and when cancelled; the output's content is undefined then.
SquashfsStats write_squashfs(const Tree& tree, int fd, std::uint64_t offset,
                             const SquashfsOptions& options, WriteProgress& progress);

}  // namespace sif
