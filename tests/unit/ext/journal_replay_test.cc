// SPDX-License-Identifier: Apache-2.0
// Logs of others: what debugfs and the kernel have written is replayed as e2fsck does it, and what
// nobody sound has written ends in EIO or is passed by.
#include <gmock/gmock.h>
#include <unistd.h>

#include "tests/unit/ext/journaled_image.h"
#include "tests/unit/fails_with.h"

namespace ext {
namespace {

using unit::fails_with;

class JournalReplayTest : public ::testing::TestWithParam<JournalFormat> {
 protected:
  JournalReplayTest() : made_(GetParam()) {}

  // A file of so many blocks for debugfs; the first begins as the log's own do.
  void make_content(const std::string& name, std::size_t count, unsigned seed) const {
    Bytes content = random_bytes(count * made_.block_size, seed);
    jbd2::put_number<std::uint32_t>(content, 0, jbd2::kMagic);
    write_bytes(made_.folder / name, content);
  }
  // "5,6,7", of blocks of the file.
  std::string list(std::size_t first, std::size_t count) const {
    std::vector<std::string> numbers;
    for (std::size_t i = first; i < first + count; ++i)
      numbers.push_back(std::to_string(made_.data_blocks[i]));
    return base::join(numbers, ",");
  }
  // The image after commands that write to the journal.
  Bytes written_by_debugfs(const std::string& commands) const {
    std::ofstream(made_.folder / "commands") << "jo\n" << commands << "jc\n";
    write_bytes(made_.folder / "written", made_.bytes);
    EXPECT_TRUE(runs(made_.folder, "debugfs -w -f commands written"));
    return read_bytes(made_.folder / "written");
  }
  // 5 transactions, the last of them not complete, with revoked and escaped blocks among them.
  Bytes written() const {
    make_content("first", 300, 101);
    make_content("second", 40, 102);
    make_content("third", 1, 103);
    return written_by_debugfs("jw -b " + list(0, 300) + " first\njw -r " + list(0, 20) +
                              "\njw -b " + list(290, 40) + " second\njw -b " + list(10, 1) +
                              " third\njw -c -b " + list(600, 40) + " second\n");
  }
  void expect_replayed_as_by_e2fsck(const Bytes& image) {
    const Bytes ours = made_.replayed(image), theirs = made_.checked(image);
    // Its own replay has nothing left to do, and what else it does is the same.
    Bytes then = made_.checked(ours);
    // But it has counted its visit in its superblock, and in the journal's.
    std::copy_n(theirs.begin() + 1024, 1024, then.begin() + 1024);
    const auto superblock = made_.block(ours, made_.journal_blocks[0]);
    std::ranges::copy(superblock, then.begin() + static_cast<std::ptrdiff_t>(made_.journal_at(0)));
    EXPECT_TRUE(then == theirs) << difference(then, theirs);
  }
  std::string difference(const Bytes& one, const Bytes& other) const {
    const auto at = std::ranges::mismatch(one, other).in1 - one.begin();
    const auto block = static_cast<std::uint64_t>(at) / made_.block_size;
    return base::cat("byte ", at, " in block ", block);
  }

  // Of the file.
  bool is_changed(const Bytes& image, std::size_t data_block) const {
    const std::uint64_t number = made_.data_blocks[data_block];
    return !std::ranges::equal(made_.block(image, number), made_.block(made_.bytes, number));
  }

  JournaledImage made_;
};

INSTANTIATE_TEST_SUITE_P(Formats, JournalReplayTest, ::testing::ValuesIn(kFormats),
                         [](const auto& format) { return std::string(format.param.name); });

TEST_P(JournalReplayTest, IsAsE2fsckDoesItForDebugfs) {
  const Bytes image = written();
  expect_replayed_as_by_e2fsck(image);
  const Bytes ours = made_.replayed(image);
  // Revoked later; written again after that; never revoked; not complete.
  EXPECT_FALSE(is_changed(ours, 0));
  EXPECT_TRUE(is_changed(ours, 10));
  EXPECT_TRUE(is_changed(ours, 20));
  EXPECT_TRUE(is_changed(ours, 329));
  EXPECT_FALSE(is_changed(ours, 600));
}

TEST_P(JournalReplayTest, IsAsE2fsckDoesItWhereTheLogIsCut) {
  const Bytes image = written();
  for (const std::size_t lost : {1, 2, 150, 304, 306, 330, 348, 350, 360}) {
    Bytes cut = image;
    std::fill_n(cut.begin() + static_cast<std::ptrdiff_t>(made_.journal_at(lost)), made_.block_size,
                std::byte{0});
    expect_replayed_as_by_e2fsck(cut);
  }
}

// Which debugfs does not write.
TEST_P(JournalReplayTest, RevokesWhatTheSameTransactionHas) {
  make_content("content", 30, 101);
  Bytes image =
      written_by_debugfs("jw -b " + list(0, 30) + " content\njw -r " + list(20, 5) + "\n");
  // Descriptor, 30 copies, commit; revoke, commit.
  const auto log = [&](std::size_t position) {
    return std::span(image).subspan(made_.journal_at(position), made_.block_size);
  };
  ASSERT_EQ(jbd2::number_at<std::uint32_t>(log(33), jbd2::kTypeAt), jbd2::kRevoke);
  std::ranges::swap_ranges(log(32), log(33));
  jbd2::put_number<std::uint32_t>(log(32), jbd2::kBlockSequenceAt, 1);
  expect_replayed_as_by_e2fsck(image);
  const Bytes ours = made_.replayed(image);
  for (std::size_t i = 0; i < 30; ++i) EXPECT_EQ(is_changed(ours, i), i < 20 || i >= 25) << i;
}

TEST_P(JournalReplayTest, GoesOnAtTheStartOfTheLog) {
  const Bytes image = written();
  const std::size_t length = made_.journal_blocks.size() - 1;
  for (const std::size_t start : {1023U, 1022U, 900U, 677U}) {
    Bytes turned = image;
    for (std::size_t i = 0; i < length; ++i) {
      const auto block = made_.block(image, made_.journal_blocks[1 + i]);
      std::ranges::copy(block, turned.begin() + static_cast<std::ptrdiff_t>(made_.journal_at(
                                                    1 + (start - 1 + i) % length)));
    }
    jbd2::put_number(std::span(turned), made_.journal_at(0) + jbd2::kStartAt,
                     static_cast<std::uint32_t>(start));
    expect_replayed_as_by_e2fsck(turned);
    EXPECT_TRUE(is_changed(made_.replayed(turned), 329));
  }
}

TEST_P(JournalReplayTest, GoesOnAtSequenceNumberZero) {
  const Bytes image = written();
  Bytes renumbered = image;
  const auto renumber = [&](std::size_t at) {
    const auto number = jbd2::number_at<std::uint32_t>(renumbered, at);
    jbd2::put_number(std::span(renumbered), at, number - 3);
  };
  renumber(made_.journal_at(0) + jbd2::kSequenceAt);
  for (std::size_t i = 1; i < made_.journal_blocks.size(); ++i)
    if (jbd2::number_at<std::uint32_t>(renumbered, made_.journal_at(i)) == jbd2::kMagic)
      renumber(made_.journal_at(i) + jbd2::kBlockSequenceAt);
  expect_replayed_as_by_e2fsck(renumbered);
}

TEST_P(JournalReplayTest, KnowsTheFirstVersion) {
  if (GetParam().has_64bit_journal) return;  // which that cannot tell
  Bytes image = written();
  const std::size_t superblock = made_.journal_at(0);
  jbd2::put_number<std::uint32_t>(image, superblock + jbd2::kTypeAt, jbd2::kSuperblockV1);
  std::fill_n(image.begin() + static_cast<std::ptrdiff_t>(superblock + jbd2::kCompatibleAt),
              made_.block_size - jbd2::kCompatibleAt, std::byte{0});
  expect_replayed_as_by_e2fsck(image);
  // What follows its fields is not features.
  image[superblock + jbd2::kIncompatibleAt] = std::byte{0xff};
  EXPECT_TRUE(made_.open(MemoryDisk(image)).has_value());
}

TEST_P(JournalReplayTest, IsAsE2fsckDoesItForTheKernel) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounting takes root";
  write_bytes(made_.folder / "mounted", made_.bytes);
  const auto mounts = runs(made_.folder, "mkdir mnt && mount -o loop mounted mnt && umount mnt");
  if (!mounts) GTEST_SKIP() << mounts.message();
  // Copied while what was done is in the log only; emptied directories, whose blocks become those
  // of files, are revoked.
  ASSERT_TRUE(runs(made_.folder, R"(
    mount -o loop mounted mnt &&
    trap 'cd /; umount "$OLDPWD/mnt"' EXIT &&
    mkdir mnt/d && for i in $(seq 200); do echo $i >mnt/d/a-rather-long-name-for-a-file-$i || exit; done &&
    mknod mnt/node c 1 3 && sync -f mnt && cp mounted copy1 &&
    rm -r mnt/d && dd if=/dev/urandom of=mnt/f bs=1k count=60 && sync -f mnt && cp mounted copy2 &&
    truncate -s 0 mnt/data && sync -f mnt && cp mounted copy3 &&
    for i in $(seq 40); do mkdir mnt/d$i && sync -f mnt || exit; done && rm -r mnt/d3* &&
    dd if=/dev/zero of=mnt/f bs=1k count=500 && sync -f mnt && cp mounted copy4)"));
  for (const char* copy : {"copy1", "copy2", "copy3", "copy4"}) {
    SCOPED_TRACE(copy);
    const Bytes image = read_bytes(made_.folder / copy);
    EXPECT_FALSE(made_.open(MemoryDisk(image))->is_empty());
    EXPECT_FALSE(made_.replayed(image) == image);
    expect_replayed_as_by_e2fsck(image);
  }
}

// Without a file system around it: 40 blocks of 1 KiB, the journal's 30 of them from the fifth on.
class HostileLogTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kBlock = 1024, kBlocks = 40, kFirst = 5, kLength = 30;

  HostileLogTest() {
    put(0, 0, jbd2::kMagic);
    put(0, jbd2::kTypeAt, jbd2::kSuperblockV2);
    put(0, jbd2::kBlockSizeAt, kBlock);
    put(0, jbd2::kLengthAt, kLength);
    put(0, jbd2::kFirstAt, 1);
    put(0, jbd2::kSequenceAt, 7);
    put(0, jbd2::kStartAt, 1);
    for (std::uint64_t i = 0; i < kLength; ++i) place_.push_back(kFirst + i);
  }
  void put(std::size_t position, std::size_t at, std::uint32_t value) {
    jbd2::put_number(std::span(bytes_), (kFirst + position) * kBlock + at, value);
  }
  void head(std::size_t position, std::uint32_t type, std::uint32_t sequence = 7) {
    put(position, 0, jbd2::kMagic);
    put(position, jbd2::kTypeAt, type);
    put(position, jbd2::kBlockSequenceAt, sequence);
  }
  // Of one block, whose copy lies behind it, before a commit block.
  void log_one(std::uint32_t block) {
    head(1, jbd2::kDescriptor);
    put(1, jbd2::kHeaderSize, block);
    put(1, jbd2::kHeaderSize + 4, jbd2::kLastTag);
    put(2, 0, 0x12345678);
    head(3, jbd2::kCommit);
  }
  Bytes replayed() const {
    const MemoryDisk disk(bytes_);
    auto journal = Journal::open(disk.partition(), kBlock, place_);
    if (journal) journal->replay();
    return disk.bytes();
  }
  void expect_damage(const std::string& reason) const {
    const MemoryDisk disk(bytes_);
    auto journal = Journal::open(disk.partition(), kBlock, place_);
    try {
      journal->replay();
      FAIL() << "no error: " << reason;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.errno_value(), EIO);
      EXPECT_EQ(error.what(), "test image: corrupt ext file system: " + reason);
    }
    EXPECT_TRUE(disk.bytes() == bytes_);
  }
  // Nothing but the superblock's start and sequence number is written.
  void expect_emptied() const {
    Bytes expected = bytes_;
    jbd2::put_number<std::uint32_t>(expected, kFirst * kBlock + jbd2::kSequenceAt, 8);
    jbd2::put_number<std::uint32_t>(expected, kFirst * kBlock + jbd2::kStartAt, 0);
    EXPECT_TRUE(replayed() == expected);
  }

  Bytes bytes_ = Bytes(kBlocks * kBlock);
  std::vector<std::uint64_t> place_;
};

TEST_F(HostileLogTest, ReplaysWhatIsSound) {
  log_one(2);
  EXPECT_EQ(jbd2::number_at<std::uint32_t>(replayed(), 2 * kBlock), 0x12345678U);
}

TEST_F(HostileLogTest, RefusesBlocksBeyondTheFileSystem) {
  log_one(40);
  expect_damage("journal descriptor: block number 40 is not within 0 to 39");
  put(0, jbd2::kIncompatibleAt, jbd2::k64BitFeature);
  put(1, jbd2::kHeaderSize, 2);
  put(1, jbd2::kHeaderSize + 8, 0xffffffff);
  expect_damage("journal descriptor: block number 18446744069414584322 is not within 0 to 39");
}

TEST_F(HostileLogTest, RefusesBlocksOfTheJournal) {
  for (const std::uint32_t own : {5U, 6U, 34U}) {
    log_one(own);
    expect_damage(
        base::cat("journal descriptor: block number ", own, " is one of the journal's own"));
  }
}

TEST_F(HostileLogTest, RefusesRevokeBlocksOfImpossibleSize) {
  head(1, jbd2::kRevoke);
  head(2, jbd2::kCommit);
  for (const std::uint32_t size : {0U, 15U, 1025U, 0xffffffffU}) {
    put(1, jbd2::kRevokeSizeAt, size);
    expect_damage(base::cat("journal revoke block: size ", size, " is not within 16 to 1024"));
  }
}

TEST_F(HostileLogTest, EndsWhereTheLogIsACircle) {
  for (const std::uint32_t type : {jbd2::kDescriptor, jbd2::kRevoke}) {
    for (std::size_t i = 1; i < kLength; ++i) {
      head(i, type);
      put(i, jbd2::kHeaderSize + 4, jbd2::kLastTag);
    }
    expect_emptied();
  }
}

TEST_F(HostileLogTest, EndsWhereADescriptorTellsOfMoreThanTheLogHas) {
  head(1, jbd2::kDescriptor);
  for (std::size_t at = jbd2::kHeaderSize; at + 8 <= kBlock; at += 8)
    put(1, at + 4, jbd2::kSameUuid);
  expect_emptied();
}

TEST_F(HostileLogTest, IgnoresWhatIsNotComplete) {
  log_one(40);
  head(3, jbd2::kCommit, 8);
  expect_emptied();
  head(3, 9);
  expect_emptied();
}

// Ends in EIO or not at all, and the journal's blocks stay as they are but for 8 bytes.
TEST_F(HostileLogTest, SurvivesChangedBytes) {
  log_one(2);
  head(4, jbd2::kRevoke, 8);
  put(4, jbd2::kRevokeSizeAt, 24);
  put(4, jbd2::kRevokeHeaderSize, 2);
  head(5, jbd2::kDescriptor, 8);
  put(5, jbd2::kHeaderSize, 3);
  put(5, jbd2::kHeaderSize + 4, 0);
  put(5, jbd2::kHeaderSize + 24, 4);
  put(5, jbd2::kHeaderSize + 28, jbd2::kSameUuid | jbd2::kEscaped | jbd2::kLastTag);
  head(8, jbd2::kCommit, 8);
  const Bytes sound = bytes_;
  std::mt19937 random(1);
  int failures = 0, replays = 0;
  for (int round = 0; round < 20000; ++round) {
    bytes_ = sound;
    for (auto changes = 1 + random() % 3; changes > 0; --changes) {
      const std::size_t at = (kFirst + random() % 9) * kBlock + random() % 52;
      bytes_[at] = random() % 2 == 0 ? static_cast<std::byte>(random())
                                     : bytes_[at] ^ static_cast<std::byte>(1U << random() % 8);
    }
    try {
      Bytes after = replayed();
      ++replays;
      const auto state = [&](Bytes& image) {
        return image.begin() + static_cast<std::ptrdiff_t>(kFirst * kBlock + jbd2::kSequenceAt);
      };
      std::copy_n(state(bytes_), 8, state(after));
      const auto journal = [&](const Bytes& image) {
        return std::span(image).subspan(kFirst * kBlock, kLength * kBlock);
      };
      EXPECT_TRUE(std::ranges::equal(journal(after), journal(bytes_)));
    } catch (const base::Error& error) {
      ++failures;
      EXPECT_EQ(error.errno_value(), EIO) << error.what();
    }
  }
  EXPECT_GT(failures, 1000);
  EXPECT_GT(replays, 1000);
}

TEST_F(HostileLogTest, SurvivesAPartitionThatEndsWithinTheLog) {
  log_one(2);
  for (std::size_t size = 0; size < bytes_.size(); size += 512) {
    const MemoryDisk disk(std::span<const std::byte>(bytes_).first(size));
    const auto open = [&] { return Journal::open(disk.partition(), kBlock, place_).has_value(); };
    if (size >= (kFirst + kLength) * kBlock) {
      EXPECT_TRUE(open()) << size;
    } else {
      const std::size_t missing = size / kBlock > kFirst ? kFirst + kLength - 1 : kFirst;
      const std::string reason =
          base::cat("journal: block number ", missing, " is not within 2 to ");
      EXPECT_THAT(open, fails_with(reason)) << size;
    }
  }
}

}  // namespace
}  // namespace ext
