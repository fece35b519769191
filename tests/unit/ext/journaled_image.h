// SPDX-License-Identifier: Apache-2.0
// File systems with a journal, made by mke2fs, in memory; e2fsprogs and the kernel are the oracles.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/syscalls.h"
#include "ext/ext2fs_adapter.h"
#include "ext/journal.h"
#include "tests/unit/temporary_folder.h"

namespace ext {

using Bytes = std::vector<std::byte>;

inline void write_bytes(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

inline void read_bytes(const std::string& path, Bytes& bytes) {
  bytes.resize(std::filesystem::file_size(path));
  std::ifstream(path, std::ios::binary)
      .read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}
inline Bytes read_bytes(const std::string& path) {
  Bytes bytes;
  read_bytes(path, bytes);
  return bytes;
}

// Runs a shell command in the folder; false, with what it said in `said`, if its exit status is
// above `highest`.
inline ::testing::AssertionResult runs(const unit::TemporaryFolder& folder,
                                       const std::string& command, int highest = 0) {
  const std::string line = "cd '" + (folder / "") +
                           "' && export PATH=\"$PATH:/usr/sbin:/sbin\" && { " + command +
                           "; } >said 2>&1";
  const int status = std::system(line.c_str());  // NOLINT(concurrency-mt-unsafe)
  if (WIFEXITED(status) && WEXITSTATUS(status) <= highest) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << command << " (of e2fsprogs, if it is missing): status " << status << "\n"
         << base::read_small_file(folder / "said");
}

// A partition in memory.
class MemoryDisk {
 public:
  explicit MemoryDisk(std::span<const std::byte> bytes)
      : file_(::memfd_create("disk", MFD_CLOEXEC)),
        partition_(file_.get(), 0, bytes.size(), "test image") {
    base::pwrite_all(file_.get(), bytes, 0, "disk");
  }
  const Partition& partition() const { return partition_; }
  Bytes bytes() const {
    Bytes bytes(static_cast<std::size_t>(partition_.size()));
    partition_.read(0, bytes);
    return bytes;
  }

 private:
  base::UniqueFd file_;
  Partition partition_;
};

inline Bytes random_bytes(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  Bytes bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

struct JournalFormat {
  const char* name;
  const char* options;
  std::size_t block_size;
  bool has_64bit_journal;
};

inline constexpr JournalFormat kFormats[] = {
    {"ext3_1k", "-t ext3", 1024, false},
    {"ext4_1k_64bit", "-t ext4 -O ^metadata_csum,64bit", 1024, true},
    {"ext4_4k", "-t ext4 -O ^metadata_csum,^64bit", 4096, false},
};

// The smallest journal there is, of 1,024 blocks, and a file whose blocks, to which programs that
// check file systems pay no heed, stand for all others.
struct JournaledImage {
  static constexpr std::size_t kDataBlocks = 1100;

  explicit JournaledImage(const JournalFormat& format) : block_size(format.block_size) {
    std::filesystem::create_directory(folder / "tree");
    write_bytes(folder / "tree/data", random_bytes(kDataBlocks * block_size, 1));
    EXPECT_TRUE(runs(
        folder, base::cat("mke2fs -q -F ", format.options, " -b ", block_size,
                          " -J size=", block_size >> 10, " -d tree image ", 3 * block_size, "k")));
    ext2_filsys opened = nullptr;
    check(ext2fs_open((folder / "image").c_str(), EXT2_FLAG_64BITS, 0, 0, unix_io_manager, &opened),
          "cannot open the image");
    ext2_ino_t data = 0;
    check(ext2fs_lookup(opened, EXT2_ROOT_INO, "data", 4, nullptr, &data), "cannot find data");
    journal_blocks = blocks_of(opened, EXT2_JOURNAL_INO, 1024);
    data_blocks = blocks_of(opened, data, kDataBlocks);
    ext2fs_close(opened);
    bytes = read_bytes(folder / "image");
    if (format.has_64bit_journal) bytes[journal_at(0) + jbd2::kIncompatibleAt + 3] = std::byte{3};
    bytes[1024 + 0x60] |= std::byte{4};  // needs_recovery
  }

  static std::vector<std::uint64_t> blocks_of(ext2_filsys opened, ext2_ino_t inode, blk64_t count) {
    std::vector<std::uint64_t> blocks;
    for (blk64_t i = 0; i < count; ++i) {
      blk64_t block = 0;
      check(ext2fs_bmap2(opened, inode, nullptr, nullptr, 0, i, nullptr, &block), "bmap");
      blocks.push_back(block);
    }
    return blocks;
  }

  // Where a block of the journal begins.
  std::size_t journal_at(std::size_t index) const {
    return static_cast<std::size_t>(journal_blocks[index]) * block_size;
  }
  std::span<const std::byte> block(const Bytes& image, std::uint64_t number) const {
    return std::span(image).subspan(static_cast<std::size_t>(number) * block_size, block_size);
  }
  std::optional<Journal> open(const MemoryDisk& disk, Journal::Observer observer = {}) const {
    return Journal::open(disk.partition(), block_size, journal_blocks, std::move(observer));
  }
  // What our replay makes of an image; until the next call. New memory for each image is most of
  // what such a test costs under AddressSanitizer.
  const Bytes& replayed(const Bytes& image) {
    const MemoryDisk disk(image);
    auto journal = open(disk);
    EXPECT_TRUE(journal.has_value());
    journal->replay();
    EXPECT_TRUE(journal->is_empty());
    replayed_.resize(image.size());
    disk.partition().read(0, replayed_);
    return replayed_;
  }
  // What e2fsck makes of it, which replays first; until the next call.
  const Bytes& checked(const Bytes& image) {
    write_bytes(folder / "checked", image);
    EXPECT_TRUE(runs(folder, "E2FSCK_TIME=1700000000 e2fsck -fy checked", 1));
    read_bytes(folder / "checked", checked_);
    return checked_;
  }

  unit::TemporaryFolder folder;
  std::size_t block_size;
  std::vector<std::uint64_t> journal_blocks, data_blocks;
  Bytes bytes;

 private:
  Bytes replayed_, checked_;
};

}  // namespace ext
