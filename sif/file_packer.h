// SPDX-License-Identifier: Apache-2.0
// Lays the contents of all files of a tree into data and fragment blocks: full blocks of a file one
// after the other, tails together with their siblings' in fragment blocks, equal files once. What
// every start of a program reads comes first and may be stored as it is.
#pragma once

#include <cstdint>
#include <vector>

#include "sif/squashfs_writer.h"
#include "sif/tree_plan.h"

namespace sif {

// Where a file's content lies; duplicates share one.
struct FileLayout {
  std::uint64_t start = 0;       // position of the first block that is stored
  std::uint64_t first_word = 0;  // in PackedFiles::size_words
  std::uint64_t word_count = 0;
  std::uint32_t fragment = kNoFragment;
  std::uint32_t fragment_offset = 0;
};

struct FragmentBlock {
  std::uint64_t position;
  std::uint32_t size_word;
};

struct PackedFiles {
  std::vector<FileLayout> layouts;
  std::vector<std::uint32_t> layout_of;   // by inode number - 1; regular files only
  std::vector<std::uint32_t> size_words;  // of data blocks
  std::vector<FragmentBlock> fragments;
  std::uint64_t end = 0;  // position behind the last block
  std::uint64_t input_bytes = 0, duplicate_bytes = 0;
};

// Writes the blocks from `position` on of the file system at `offset` of `fd`.
PackedFiles pack_files(const TreePlan& plan, int fd, std::uint64_t offset, std::uint64_t position,
                       const SquashfsOptions& options, WriteProgress& progress);

}  // namespace sif
