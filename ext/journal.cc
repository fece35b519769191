// SPDX-License-Identifier: Apache-2.0
// Opening and writing. A commit is always the only transaction in the log, at its start:
//
//   1. the log: descriptors, copies, commit block, and an empty block that ends the log
//   2. sync
//   3. the superblock's start and sequence, 8 bytes in one sector: from here on it is done
//   4. sync
//   5. the blocks in their places
//   6. sync
//   7. the superblock's same bytes: empty, next sequence number
//   8. sync, before the next commit overwrites the log
//
// Before 3 nobody looks at the log: the order of the writes within 1 does not matter, nor what a
// commit that was cut there has left. Between 3 and 7 a replay writes the same blocks again. What
// lies behind in the log has sequence numbers that do not follow, and the empty block ends it even
// where a program has set those back. Since no commit is left in the log when the next begins,
// nothing need ever be revoked.
#include "ext/journal.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace ext {
namespace {

constexpr std::size_t kMinJournaledBlock = 1024, kMaxJournaledBlock = 64 << 10;  // those of ext4
constexpr std::size_t kMaxRun = 1 << 20;                                         // bytes
constexpr std::uint64_t kExtSuperblockAt = 1024;                                 // bytes

}  // namespace

void Journal::Run::add(std::uint64_t block, std::span<const std::byte> content) {
  if (block != next_ || pending_.size() + content.size() > kMaxRun) finish();
  if (pending_.empty()) first_ = block;
  pending_.insert(pending_.end(), content.begin(), content.end());
  next_ = block + 1;
}

void Journal::Run::finish() {
  if (!pending_.empty()) journal_.write(first_ * journal_.block_size_, pending_);
  pending_.clear();
}

Journal::Journal(const Partition& partition, std::size_t block_size,
                 std::vector<std::uint64_t> blocks, Observer observer)
    : partition_(partition),
      block_size_(block_size),
      blocks_(std::move(blocks)),
      sorted_blocks_(blocks_),
      observer_(std::move(observer)) {
  std::ranges::sort(sorted_blocks_);
}

std::optional<Journal> Journal::open(const Partition& partition, std::size_t block_size,
                                     std::vector<std::uint64_t> blocks, Observer observer) {
  Journal journal(partition, block_size, std::move(blocks), std::move(observer));
  journal.check_place();
  if (!journal.read_superblock()) return std::nullopt;
  return journal;
}

base::Error Journal::corrupt(std::string_view what, std::uint64_t found, std::uint64_t lowest,
                             std::uint64_t highest) const {
  return base::Error(base::cat(partition_.name(), ": corrupt ext file system: ", what, " ", found,
                               " is not within ", lowest, " to ", highest),
                     EIO);
}

// Where the block map of the journal's inode, which is hostile too, says that it lies.
void Journal::check_place() const {
  if (block_size_ < kMinJournaledBlock || block_size_ > kMaxJournaledBlock)
    throw corrupt("journal: size of blocks", block_size_, kMinJournaledBlock, kMaxJournaledBlock);
  if (blocks_.size() < 2 || blocks_.size() > UINT32_MAX)
    throw corrupt("journal: number of blocks", blocks_.size(), 2, UINT32_MAX);
  const std::uint64_t lowest = kExtSuperblockAt / block_size_ + 1;
  const std::uint64_t count = partition_.size() / block_size_;
  for (const std::uint64_t block : {sorted_blocks_.front(), sorted_blocks_.back()})
    if (block < lowest || block >= count)
      throw corrupt("journal: block number", block, lowest, count == 0 ? 0 : count - 1);
  const auto twice = std::ranges::adjacent_find(sorted_blocks_);
  if (twice == sorted_blocks_.end()) return;
  throw base::Error(
      base::cat(partition_.name(), ": corrupt ext file system: the journal has block ", *twice,
                " twice"),
      EIO);
}

bool Journal::read_superblock() {
  std::array<std::byte, jbd2::kSuperblockSize> bytes;
  partition_.read(blocks_.front() * block_size_, bytes);
  check_superblock(bytes);
  first_ = jbd2::number_at<std::uint32_t>(bytes, jbd2::kFirstAt);
  end_ = jbd2::number_at<std::uint32_t>(bytes, jbd2::kLengthAt);
  start_ = jbd2::number_at<std::uint32_t>(bytes, jbd2::kStartAt);
  sequence_ = jbd2::number_at<std::uint32_t>(bytes, jbd2::kSequenceAt);
  if (jbd2::number_at<std::uint32_t>(bytes, jbd2::kTypeAt) == jbd2::kSuperblockV1) return true;
  const auto features = jbd2::number_at<std::uint32_t>(bytes, jbd2::kIncompatibleAt);
  is_64bit_ = (features & jbd2::k64BitFeature) != 0;
  std::ranges::copy(std::span(bytes).subspan(jbd2::kUuidAt, jbd2::kUuidSize), uuid_.begin());
  return (features & ~(jbd2::kRevokeFeature | jbd2::k64BitFeature)) == 0 &&
         jbd2::number_at<std::uint32_t>(bytes, jbd2::kCompatibleAt) == 0 &&
         jbd2::number_at<std::uint32_t>(bytes, jbd2::kReadOnlyCompatibleAt) == 0;
}

void Journal::check_superblock(std::span<const std::byte> superblock) const {
  const auto check = [&](const char* field, std::size_t at, std::uint64_t lowest,
                         std::uint64_t highest) {
    const auto value = jbd2::number_at<std::uint32_t>(superblock, at);
    if (value < lowest || value > highest)
      throw corrupt(base::cat("journal superblock: ", field), value, lowest, highest);
    return value;
  };
  check("magic number", 0, jbd2::kMagic, jbd2::kMagic);
  check("type", jbd2::kTypeAt, jbd2::kSuperblockV1, jbd2::kSuperblockV2);
  check("size of blocks", jbd2::kBlockSizeAt, block_size_, block_size_);
  const std::uint32_t length = check("length", jbd2::kLengthAt, 2, blocks_.size());
  const std::uint32_t first = check("first block of the log", jbd2::kFirstAt, 1, length - 1);
  if (jbd2::number_at<std::uint32_t>(superblock, jbd2::kStartAt) != 0)
    check("start of the log", jbd2::kStartAt, first, length - 1);
}

void Journal::check_target(std::string_view structure, std::uint64_t block) const {
  const std::uint64_t count = partition_.size() / block_size_;
  if (block >= count) throw corrupt(base::cat(structure, ": block number"), block, 0, count - 1);
  if (!std::ranges::binary_search(sorted_blocks_, block)) return;
  throw base::Error(base::cat(partition_.name(), ": corrupt ext file system: ", structure,
                              ": block number ", block, " is one of the journal's own"),
                    EIO);
}

std::size_t Journal::tags_per_descriptor() const {
  return (block_size_ - jbd2::kHeaderSize - jbd2::kUuidSize) / tag_size();
}

std::size_t Journal::capacity() const {
  // Besides the commit block and the empty one.
  const std::size_t room = std::max<std::size_t>(end_ - first_, 2) - 2;
  const std::size_t tags = tags_per_descriptor();
  const std::size_t rest = room % (tags + 1);
  return room / (tags + 1) * tags + (rest == 0 ? 0 : rest - 1);
}

bool Journal::commit(const BlockMap& blocks) {
  if (blocks.empty()) return true;
  if (!is_empty())
    throw base::Error(base::cat("cannot write to the journal of ", partition_.name(),
                                ": it must be replayed first"),
                      EBUSY);
  if (blocks.size() > capacity()) return false;
  if (!is_64bit_ && blocks.rbegin()->first > UINT32_MAX) return false;
  for (const auto& [block, content] : blocks) {
    check_target("change", block);
    if (content.size() != block_size_)
      throw corrupt(base::cat("change of block ", block, ": size"), content.size(), block_size_,
                    block_size_);
  }
  write_log(blocks);
  sync();
  mark_used(first_);
  Run places(*this);
  for (const auto& [block, content] : blocks) places.add(block, content);
  places.finish();
  sync();
  mark_empty(sequence_ + 1);
  return true;
}

void Journal::write_log(const BlockMap& blocks) {
  Run log(*this);
  std::uint32_t position = first_;
  std::vector<std::byte> block(block_size_);
  for (auto next = blocks.begin(); next != blocks.end();) {
    std::vector<BlockMap::const_iterator> entries;
    while (next != blocks.end() && entries.size() < tags_per_descriptor())
      entries.push_back(next++);
    std::ranges::fill(block, std::byte{0});
    put_header(block, jbd2::kDescriptor);
    put_tags(block, entries);
    log.add(blocks_[position++], block);
    for (const auto& entry : entries) {
      std::ranges::copy(entry->second, block.begin());
      if (jbd2::number_at<std::uint32_t>(block, 0) == jbd2::kMagic)
        jbd2::put_number<std::uint32_t>(block, 0, 0);
      log.add(blocks_[position++], block);
    }
  }
  std::ranges::fill(block, std::byte{0});
  put_header(block, jbd2::kCommit);
  log.add(blocks_[position++], block);
  std::ranges::fill(block, std::byte{0});
  log.add(blocks_[position], block);
  log.finish();
}

void Journal::put_header(std::span<std::byte> block, jbd2::BlockType type) const {
  jbd2::put_number<std::uint32_t>(block, 0, jbd2::kMagic);
  jbd2::put_number<std::uint32_t>(block, jbd2::kTypeAt, type);
  jbd2::put_number<std::uint32_t>(block, jbd2::kBlockSequenceAt, sequence_);
}

void Journal::put_tags(std::span<std::byte> descriptor,
                       std::span<const BlockMap::const_iterator> entries) const {
  std::span<std::byte> rest = descriptor.subspan(jbd2::kHeaderSize);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto& [block, content] = *entries[i];
    std::uint16_t flags = i == 0 ? 0 : jbd2::kSameUuid;
    if (i + 1 == entries.size()) flags |= jbd2::kLastTag;
    if (jbd2::number_at<std::uint32_t>(content, 0) == jbd2::kMagic) flags |= jbd2::kEscaped;
    jbd2::put_number(rest, 0, static_cast<std::uint32_t>(block));
    jbd2::put_number(rest, jbd2::kTagFlagsAt, flags);
    if (is_64bit_)
      jbd2::put_number(rest, jbd2::kTagUpperAt, static_cast<std::uint32_t>(block >> 32));
    rest = rest.subspan(tag_size());
    if (i > 0) continue;
    std::ranges::copy(uuid_, rest.begin());
    rest = rest.subspan(uuid_.size());
  }
}

void Journal::mark_used(std::uint32_t start) {
  start_ = start;  // the log may be in use from now on, even if this fails
  write_state(start, sequence_);
}

void Journal::mark_empty(std::uint32_t next_sequence) {
  write_state(0, next_sequence);
  start_ = 0;
  sequence_ = next_sequence;
}

void Journal::write_state(std::uint32_t start, std::uint32_t sequence) const {
  static_assert(jbd2::kStartAt == jbd2::kSequenceAt + 4);
  std::array<std::byte, 8> state;
  jbd2::put_number(std::span(state), 0, sequence);
  jbd2::put_number(std::span(state), 4, start);
  write(blocks_.front() * block_size_ + jbd2::kSequenceAt, state);
  sync();
}

void Journal::write(std::uint64_t at, std::span<const std::byte> data) const {
  if (observer_) observer_(at, data);
  partition_.write(at, data);
}

void Journal::sync() const {
  if (observer_) observer_(0, {});
  partition_.sync();
}

}  // namespace ext
