// SPDX-License-Identifier: Apache-2.0
// Commits that are cut at every place: what we and e2fsck and the kernel make of what is left is
// the old state or the new one.
#include "ext/journal.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "tests/unit/ext/journaled_image.h"
#include "tests/unit/fails_with.h"

namespace ext {
namespace {

using unit::fails_with;

struct Step {
  std::uint64_t at;
  Bytes data;  // none: a sync
};

void apply(const Step& step, Bytes& image) {
  std::ranges::copy(step.data, image.begin() + static_cast<std::ptrdiff_t>(step.at));
}

enum class State { before, after, between };

class JournalTest : public ::testing::TestWithParam<JournalFormat> {
 protected:
  JournalTest() : made_(GetParam()) {}

  // New contents of blocks of the file, some adjacent, some not. One looks like the log itself.
  BlockMap changes(std::size_t count, unsigned seed) const {
    std::vector<std::uint64_t> blocks = made_.data_blocks;
    std::ranges::shuffle(blocks, std::mt19937(seed));
    std::ranges::sort(blocks.begin(), blocks.begin() + static_cast<std::ptrdiff_t>(count / 2));
    blocks.resize(count);
    BlockMap changes;
    unsigned contents = 10000 * seed;  // those of no other call
    for (const std::uint64_t block : blocks)
      changes[block] = random_bytes(made_.block_size, contents++);
    Bytes& like_commit = changes.begin()->second;
    jbd2::put_number<std::uint32_t>(like_commit, 0, jbd2::kMagic);
    jbd2::put_number<std::uint32_t>(like_commit, jbd2::kTypeAt, jbd2::kCommit);
    return changes;
  }

  Bytes committed(const Bytes& image, const BlockMap& blocks) const {
    const MemoryDisk disk(image);
    EXPECT_TRUE(made_.open(disk)->commit(blocks));
    return disk.bytes();
  }

  // What is written, in pieces of at most that size.
  template <typename Action>
  std::vector<Step> recorded(const Bytes& image, std::size_t size, const Action& action) const {
    std::vector<Step> steps;
    const MemoryDisk disk(image);
    auto journal = made_.open(disk, [&](std::uint64_t at, std::span<const std::byte> data) {
      if (data.empty()) steps.push_back({});
      for (; !data.empty(); data = data.subspan(std::min(size, data.size()))) {
        const auto piece = data.first(std::min(size, data.size()));
        steps.push_back({at, Bytes(piece.begin(), piece.end())});
        at += piece.size();
      }
    });
    action(*journal);
    return steps;
  }
  std::vector<Step> steps_of(const Bytes& image, const BlockMap& blocks, std::size_t size) const {
    return recorded(image, size, [&](Journal& journal) { EXPECT_TRUE(journal.commit(blocks)); });
  }

  // All that was done before one of the syncs, and some of what comes before the next.
  template <typename Random>
  Bytes stopped(Bytes image, const std::vector<Step>& steps, std::ptrdiff_t syncs,
                Random& random) const {
    for (const Step& step : steps) {
      if (step.data.empty() && syncs-- == 0) break;
      if (syncs > 0 || random() % 2 == 0) apply(step, image);
    }
    return image;
  }

  State state(const Bytes& image, const Bytes& before, const BlockMap& blocks) const {
    bool is_before = true, is_after = true;
    for (const auto& [number, content] : blocks) {
      const auto present = made_.block(image, number);
      is_before = is_before && std::ranges::equal(present, made_.block(before, number));
      is_after = is_after && std::ranges::equal(present, content);
    }
    return is_after ? State::after : is_before ? State::before : State::between;
  }

  // Just when the superblock tells of the transaction.
  Bytes marked(const Bytes& image, const BlockMap& blocks) const {
    Bytes cut = image;
    for (const Step& step : steps_of(image, blocks, SIZE_MAX)) {
      apply(step, cut);
      if (step.data.size() == 8) break;
    }
    return cut;
  }

  JournaledImage made_;
};

INSTANTIATE_TEST_SUITE_P(Formats, JournalTest, ::testing::ValuesIn(kFormats),
                         [](const auto& format) { return std::string(format.param.name); });

TEST_P(JournalTest, WritesBlocksToTheirPlaces) {
  const BlockMap blocks = changes(500, 1);
  const Bytes after = committed(made_.bytes, blocks);
  EXPECT_EQ(state(after, made_.bytes, blocks), State::after);
  // The journal's blocks, and those told, are all that is changed.
  Bytes expected = made_.bytes;
  for (const auto& [number, content] : blocks)
    apply({number * made_.block_size, content}, expected);
  for (std::size_t i = 1; i < made_.journal_blocks.size(); ++i) {
    const auto log = made_.block(after, made_.journal_blocks[i]);
    apply({made_.journal_at(i), Bytes(log.begin(), log.end())}, expected);
  }
  expected[made_.journal_at(0) + jbd2::kSequenceAt + 3] = std::byte{2};
  EXPECT_TRUE(after == expected);
  EXPECT_EQ(state(made_.checked(after), made_.bytes, blocks), State::after);
}

TEST_P(JournalTest, IsAllOrNothingWhereverTheProcessIsKilled) {
  // What an earlier, longer one has left lies in the log.
  const Bytes before = committed(made_.bytes, changes(300, 1));
  const BlockMap blocks = changes(25, 2);
  Bytes cut = before;
  bool is_marked = false;
  for (const Step& step : steps_of(before, blocks, made_.block_size)) {
    if (step.data.empty()) continue;
    apply(step, cut);
    is_marked = is_marked || step.data.size() == 8;
    const State expected = is_marked ? State::after : State::before;
    EXPECT_EQ(state(made_.replayed(cut), before, blocks), expected);
    EXPECT_EQ(state(made_.checked(cut), before, blocks), expected);
  }
  EXPECT_TRUE(is_marked);
}

TEST_P(JournalTest, IsAllOrNothingWhateverTheDiskHadOfItWhenTheNodeStopped) {
  const Bytes before = committed(made_.bytes, changes(300, 1));
  const BlockMap blocks = changes(150, 2);
  const std::vector<Step> steps = steps_of(before, blocks, 512);
  const auto syncs =
      std::ranges::count_if(steps, [](const Step& step) { return step.data.empty(); });
  ASSERT_EQ(syncs, 4);
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    const Bytes cut = stopped(before, steps, round % syncs, random);
    const State ours = state(made_.replayed(cut), before, blocks);
    EXPECT_NE(ours, State::between);
    if (round >= 12) continue;
    EXPECT_EQ(state(made_.checked(cut), before, blocks), ours);
  }
}

TEST_P(JournalTest, IsThereWhereverAReplayIsCut) {
  const BlockMap blocks = changes(150, 1);
  const Bytes cut = marked(made_.bytes, blocks);
  const auto steps = recorded(cut, 512, [](Journal& journal) { journal.replay(); });
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    const Bytes again = stopped(cut, steps, round % 2, random);
    EXPECT_EQ(state(made_.replayed(again), made_.bytes, blocks), State::after);
  }
}

// Beyond what those that replay need.
TEST_P(JournalTest, WritesTheLogAsTheFormatSays) {
  const std::size_t superblock = made_.journal_at(0);
  std::fill_n(made_.bytes.begin() + static_cast<std::ptrdiff_t>(superblock + jbd2::kUuidAt),
              jbd2::kUuidSize, std::byte{0xab});
  const Bytes after = committed(made_.bytes, changes(10, 1));
  const auto log = [&](std::size_t i) { return made_.block(after, made_.journal_blocks[1 + i]); };
  // Copies never begin as the log's own blocks do.
  for (std::size_t i = 0; i < 13; ++i)
    EXPECT_EQ(jbd2::number_at<std::uint32_t>(log(i), 0) == jbd2::kMagic, i == 0 || i == 11) << i;
  EXPECT_THAT(log(0).subspan(jbd2::kHeaderSize + (GetParam().has_64bit_journal ? 12 : 8), 16),
              ::testing::Each(std::byte{0xab}));
}

TEST_P(JournalTest, TakesAsMuchAsItSays) {
  std::size_t writes = 0;
  const MemoryDisk disk(made_.bytes);
  auto journal = made_.open(disk, [&](std::uint64_t, std::span<const std::byte>) { ++writes; });
  const BlockMap full = changes(journal->capacity(), 1);
  EXPECT_GT(full.size(), 1000U);
  EXPECT_FALSE(journal->commit(changes(journal->capacity() + 1, 1)));
  EXPECT_EQ(writes, 0U);
  EXPECT_TRUE(journal->commit(full));
  const Bytes cut = marked(made_.bytes, full);
  EXPECT_EQ(state(made_.replayed(cut), made_.bytes, full), State::after);
  EXPECT_EQ(state(made_.checked(cut), made_.bytes, full), State::after);
}

// As a program that replays, or that makes the journal anew, might.
TEST_P(JournalTest, EndsTheLogWhereSequenceNumbersWereSetBack) {
  // A complete transaction 2 lies just behind where 1 will end.
  const BlockMap blocks = changes(10, 1), stale = changes(10, 2);
  const Bytes before = committed(made_.bytes, blocks);
  Bytes cut = marked(before, stale);  // transaction 2, at the log's start
  for (std::size_t i = 13; i-- > 0;) {
    const auto block = made_.block(cut, made_.journal_blocks[1 + i]);
    apply({made_.journal_at(13 + i), Bytes(block.begin(), block.end())}, cut);
  }
  std::ranges::fill_n(
      cut.begin() + static_cast<std::ptrdiff_t>(made_.journal_at(0) + jbd2::kSequenceAt), 8,
      std::byte{0});
  cut[made_.journal_at(0) + jbd2::kSequenceAt + 3] = std::byte{1};
  const Bytes again = marked(cut, blocks);
  EXPECT_EQ(state(made_.replayed(again), cut, stale), State::before);
  EXPECT_EQ(state(made_.checked(again), cut, stale), State::before);
}

TEST_P(JournalTest, IsReplayedByTheKernel) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounting takes root";
  write_bytes(made_.folder / "mounted", made_.bytes);
  const auto mounts = runs(made_.folder, "mkdir mnt && mount -o loop mounted mnt && umount mnt");
  if (!mounts) GTEST_SKIP() << mounts.message();
  const BlockMap blocks = changes(300, 1);
  for (const bool is_marked : {false, true}) {
    Bytes cut = made_.bytes;
    for (const Step& step : steps_of(made_.bytes, blocks, SIZE_MAX)) {
      if (!is_marked && step.data.empty()) break;
      apply(step, cut);
      if (step.data.size() == 8) break;
    }
    write_bytes(made_.folder / "mounted", cut);
    ASSERT_TRUE(runs(made_.folder, "mount -o loop mounted mnt && umount mnt"));
    EXPECT_EQ(state(read_bytes(made_.folder / "mounted"), made_.bytes, blocks),
              is_marked ? State::after : State::before);
  }
}

TEST_P(JournalTest, CanBeReplayedAfterAWriteFailed) {
  const MemoryDisk disk(made_.bytes);
  bool is_marked = false, is_full = true;
  auto journal = made_.open(disk, [&](std::uint64_t, std::span<const std::byte> data) {
    if (is_full && is_marked && !data.empty()) throw base::Error("disk full", ENOSPC);
    is_marked = data.size() == 8 || (is_marked && data.empty());
  });
  const BlockMap blocks = changes(100, 1);
  EXPECT_THAT([&] { journal->commit(blocks); }, fails_with("disk full"));
  EXPECT_FALSE(journal->is_empty());
  EXPECT_EQ(state(disk.bytes(), made_.bytes, blocks), State::before);
  EXPECT_THAT([&] { journal->commit(blocks); },
              fails_with("cannot write to the journal of test image: it must be replayed first"));
  is_full = false;
  journal->replay();
  EXPECT_EQ(state(disk.bytes(), made_.bytes, blocks), State::after);
  EXPECT_TRUE(journal->commit(changes(100, 2)));
}

// With EIO and a text that has the reason.
template <typename Action>
void expect_damage(const Action& action, const std::string& reason) {
  try {
    action();
    ADD_FAILURE() << "no error: " << reason;
  } catch (const base::Error& error) {
    EXPECT_EQ(error.errno_value(), EIO);
    EXPECT_EQ(error.what(), "test image: corrupt ext file system: " + reason);
  }
}

class JournalDamageTest : public ::testing::Test {
 protected:
  Bytes with(std::size_t field, std::uint32_t value) const {
    Bytes image = made_.bytes;
    jbd2::put_number(std::span(image), made_.journal_at(0) + field, value);
    return image;
  }
  std::optional<Journal> open(const Bytes& image) const { return made_.open(MemoryDisk(image)); }

  JournaledImage made_{kFormats[0]};
};

TEST_F(JournalDamageTest, IsToldOfTheSuperblock) {
  const std::string superblock = "journal superblock: ";
  expect_damage([&] { open(with(0, 1)); },
                superblock + "magic number 1 is not within 3225106840 to 3225106840");
  expect_damage([&] { open(with(jbd2::kTypeAt, 5)); }, superblock + "type 5 is not within 3 to 4");
  expect_damage([&] { open(with(jbd2::kBlockSizeAt, 4096)); },
                superblock + "size of blocks 4096 is not within 1024 to 1024");
  expect_damage([&] { open(with(jbd2::kLengthAt, 1025)); },
                superblock + "length 1025 is not within 2 to 1024");
  for (const std::uint32_t first : {0U, 1024U})
    expect_damage(
        [&] { open(with(jbd2::kFirstAt, first)); },
        base::cat(superblock, "first block of the log ", first, " is not within 1 to 1023"));
  expect_damage([&] { open(with(jbd2::kStartAt, 1024)); },
                superblock + "start of the log 1024 is not within 1 to 1023");
}

TEST_F(JournalDamageTest, IsToldOfThePlace) {
  const MemoryDisk disk(made_.bytes);
  const auto open_at = [&](std::vector<std::uint64_t> blocks) {
    Journal::open(disk.partition(), 1024, std::move(blocks));
  };
  expect_damage([&] { open_at({}); }, "journal: number of blocks 0 is not within 2 to 4294967295");
  expect_damage([&] { open_at({1, 2}); }, "journal: block number 1 is not within 2 to 3071");
  expect_damage([&] { open_at({2, 3072}); }, "journal: block number 3072 is not within 2 to 3071");
  expect_damage(
      [&] {
        open_at({UINT64_MAX, 2});
      },
      "journal: block number 18446744073709551615 is not within 2 to 3071");
  expect_damage([&] { open_at({9, 8, 9}); }, "the journal has block 9 twice");
}

TEST_F(JournalDamageTest, IsToldOfChanges) {
  const MemoryDisk disk(made_.bytes);
  auto journal = made_.open(disk);
  expect_damage(
      [&] {
        journal->commit({{3072, Bytes(1024)}});
      },
      "change: block number 3072 is not within 0 to 3071");
  expect_damage(
      [&] {
        journal->commit({{7, Bytes(1023)}});
      },
      "change of block 7: size 1023 is not within 1024 to 1024");
  const std::uint64_t own = made_.journal_blocks[5];
  expect_damage(
      [&] {
        journal->commit({{own, Bytes(1024)}});
      },
      base::cat("change: block number ", own, " is one of the journal's own"));
  EXPECT_FALSE(journal->commit({{std::uint64_t{1} << 32, Bytes(1024)}}));
  EXPECT_TRUE(journal->commit({}));
  EXPECT_TRUE(disk.bytes() == made_.bytes);
}

TEST_F(JournalDamageTest, IsNotWhatUnknownFeaturesAre) {
  EXPECT_TRUE(open(with(jbd2::kIncompatibleAt, 3)).has_value());
  for (const std::uint32_t feature : {4U, 8U, 16U, 32U, 64U, 1U << 31})
    EXPECT_FALSE(open(with(jbd2::kIncompatibleAt, feature | 1)).has_value()) << feature;
  EXPECT_FALSE(open(with(jbd2::kCompatibleAt, 1)).has_value());
  EXPECT_FALSE(open(with(jbd2::kReadOnlyCompatibleAt, 1)).has_value());
}

}  // namespace
}  // namespace ext
