// SPDX-License-Identifier: Apache-2.0
// Files of images that a new image takes as they are stored, without compressing them anew: their
// own blocks, and those with the tails of many where most of these are wanted.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "sif/squashfs_reader.h"
#include "sif/squashfs_writer.h"
#include "sif/tree_plan.h"

namespace sif {

// Borrows plan and options.
class StoredFiles {
 public:
  // `is_wanted`: of all that can be taken.
  StoredFiles(const TreePlan& plan, const SquashfsOptions& options,
              std::function<bool(const TreePlan::File&)> is_wanted);

  // Null for files that have to be written anew.
  const StoredFile* find(const TreePlan::File& file) const;
  // Its tail, of which the block is wanted up to `block.length`; nullopt where there is none, or it
  // is better written anew.
  std::optional<StoredTail> find_tail(const StoredFile& file) const;

 private:
  struct Fragment {
    std::uint64_t wanted_bytes = 0;
    std::uint32_t end = 0;  // of the last tail that is wanted
  };
  using FragmentKey = std::pair<const SquashfsReader*, std::uint32_t>;

  const SquashfsOptions& options_;
  const std::function<bool(const TreePlan::File&)> is_wanted_;
  std::map<FragmentKey, Fragment> fragments_;
};

}  // namespace sif
