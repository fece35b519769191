// SPDX-License-Identifier: Apache-2.0
// What the log holds. It is read once, before anything is written: each block's last copy counts,
// unless the block was revoked in the same transaction or a later one.
#include <algorithm>
#include <map>
#include <utility>

#include "ext/journal.h"

namespace ext {

// Memory and time are bounded by the length of the log: each of its blocks is passed once.
class Journal::Scan {
 public:
  struct Copy {
    std::uint32_t position;
    bool is_escaped;
  };

  explicit Scan(const Journal& journal)
      : journal_(journal),
        position_(journal.start_),
        left_(journal.end_ - journal.first_),
        sequence_(journal.sequence_),
        block_(journal.block_size_) {
    while (take_block()) {
    }
  }

  // Of complete transactions, by the number of the block in the file system.
  const std::map<std::uint64_t, Copy>& copies() const { return copies_; }
  std::vector<std::byte> content(const Copy& copy) const;
  // Of the first transaction that is not complete.
  std::uint32_t sequence() const { return sequence_; }

 private:
  // Nullopt at the end of a log that is one circle.
  std::optional<std::uint32_t> next_position();
  // False at the end of the log.
  bool take_block();
  bool take_descriptor();
  void end_transaction();
  void revoke(std::uint32_t position);

  const Journal& journal_;
  std::uint32_t position_, left_, sequence_;
  std::vector<std::byte> block_;
  // Of the transaction whose commit block is still to come.
  std::vector<std::pair<std::uint64_t, Copy>> logged_;
  std::vector<std::uint32_t> revoke_blocks_;
  std::map<std::uint64_t, Copy> copies_;
};

std::optional<std::uint32_t> Journal::Scan::next_position() {
  if (left_ == 0) return std::nullopt;
  --left_;
  const std::uint32_t position = position_++;
  if (position_ == journal_.end_) position_ = journal_.first_;
  return position;
}

bool Journal::Scan::take_block() {
  const std::optional<std::uint32_t> position = next_position();
  if (!position) return false;
  journal_.read_log(*position, block_);
  if (jbd2::number_at<std::uint32_t>(block_, 0) != jbd2::kMagic ||
      jbd2::number_at<std::uint32_t>(block_, jbd2::kBlockSequenceAt) != sequence_)
    return false;
  switch (jbd2::number_at<std::uint32_t>(block_, jbd2::kTypeAt)) {
    case jbd2::kDescriptor:
      return take_descriptor();
    case jbd2::kRevoke:
      revoke_blocks_.push_back(*position);
      return true;
    case jbd2::kCommit:
      end_transaction();
      return true;
    default:
      return false;
  }
}

bool Journal::Scan::take_descriptor() {
  const std::size_t tag_size = journal_.tag_size();
  for (std::size_t at = jbd2::kHeaderSize; at + tag_size <= block_.size();) {
    const auto tag = std::span<const std::byte>(block_).subspan(at, tag_size);
    std::uint64_t block = jbd2::number_at<std::uint32_t>(tag, 0);
    if (journal_.is_64bit_)
      block |= std::uint64_t{jbd2::number_at<std::uint32_t>(tag, jbd2::kTagUpperAt)} << 32;
    const auto flags = jbd2::number_at<std::uint16_t>(tag, jbd2::kTagFlagsAt);
    const std::optional<std::uint32_t> position = next_position();
    if (!position) return false;
    logged_.emplace_back(block, Copy{*position, (flags & jbd2::kEscaped) != 0});
    if ((flags & jbd2::kLastTag) != 0) return true;
    at += tag_size + ((flags & jbd2::kSameUuid) != 0 ? 0 : jbd2::kUuidSize);
  }
  return true;
}

void Journal::Scan::end_transaction() {
  for (const auto& [block, copy] : logged_) {
    journal_.check_target("journal descriptor", block);
    copies_.insert_or_assign(block, copy);
  }
  for (const std::uint32_t position : revoke_blocks_) revoke(position);
  logged_.clear();
  revoke_blocks_.clear();
  ++sequence_;
}

void Journal::Scan::revoke(std::uint32_t position) {
  journal_.read_log(position, block_);
  const auto size = jbd2::number_at<std::uint32_t>(block_, jbd2::kRevokeSizeAt);
  if (size < jbd2::kRevokeHeaderSize || size > block_.size())
    throw journal_.corrupt("journal revoke block: size", size, jbd2::kRevokeHeaderSize,
                           block_.size());
  const std::size_t width = journal_.is_64bit_ ? 8 : 4;
  for (std::size_t at = jbd2::kRevokeHeaderSize; at + width <= size; at += width)
    copies_.erase(width == 8 ? jbd2::number_at<std::uint64_t>(block_, at)
                             : jbd2::number_at<std::uint32_t>(block_, at));
}

std::vector<std::byte> Journal::Scan::content(const Copy& copy) const {
  std::vector<std::byte> block(journal_.block_size_);
  journal_.read_log(copy.position, block);
  if (copy.is_escaped) jbd2::put_number(std::span(block), 0, jbd2::kMagic);
  return block;
}

void Journal::read_log(std::uint32_t position, std::span<std::byte> block) const {
  partition_.read(blocks_[position] * block_size_, block);
}

void Journal::replay() {
  if (is_empty()) return;
  const Scan scan(*this);
  Run places(*this);
  for (const auto& [number, copy] : scan.copies()) places.add(number, scan.content(copy));
  places.finish();
  sync();
  // The number of what is not complete is not used again, as with others that replay.
  mark_empty(scan.sequence() + 1);
}

BlockMap Journal::pending() const {
  BlockMap blocks;
  if (is_empty()) return blocks;
  const Scan scan(*this);
  for (const auto& [number, copy] : scan.copies())
    blocks.emplace_hint(blocks.end(), number, scan.content(copy));
  return blocks;
}

}  // namespace ext
