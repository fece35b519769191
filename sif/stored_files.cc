// SPDX-License-Identifier: Apache-2.0
#include "sif/stored_files.h"

#include <algorithm>

namespace sif {

StoredFiles::StoredFiles(const TreePlan& plan, const SquashfsOptions& options,
                         std::function<bool(const TreePlan::File&)> is_wanted)
    : options_(options), is_wanted_(std::move(is_wanted)) {
  for (const TreePlan::File& each : plan.files()) {
    const StoredFile* const file = find(each);
    const auto tail = file ? file->image.stored_tail(file->inode) : std::nullopt;
    if (!tail) continue;
    Fragment& fragment = fragments_[{&file->image, tail->fragment}];
    fragment.wanted_bytes += tail->size;
    fragment.end = std::max(fragment.end, tail->block.length);
  }
}

const StoredFile* StoredFiles::find(const TreePlan::File& file) const {
  const Inode& inode = *file.inode;
  const StoredFile* const stored = inode.source ? inode.source->stored_file() : nullptr;
  const bool can_be_taken = stored != nullptr && options_.takes_stored_blocks() &&
                            stored->image.codec() == options_.codec &&
                            stored->image.block_size() == options_.block_size;
  return can_be_taken && is_wanted_(file) ? stored : nullptr;
}

std::optional<StoredTail> StoredFiles::find_tail(const StoredFile& file) const {
  std::optional<StoredTail> tail = file.image.stored_tail(file.inode);
  if (!tail) return std::nullopt;
  const Fragment& fragment = fragments_.at({&file.image, tail->fragment});
  if (fragment.wanted_bytes < options_.block_size / 2) return std::nullopt;
  tail->block.length = fragment.end;
  return tail;
}

}  // namespace sif
