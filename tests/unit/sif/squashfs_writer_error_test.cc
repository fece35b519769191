// SPDX-License-Identifier: Apache-2.0
// How the writing of an image fails, is cancelled and watched.
#include <fcntl.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/unit/fails_with.h"
#include "tests/unit/sif/written_image.h"

namespace sif {
namespace {

using test::BrokenSource;
using test::MemoryTree;
using test::text;
using testing::HasSubstr;
using unit::fails_with;

TEST(SquashfsWriterErrorTest, WhatTheFormatCannotHoldIsNamed) {
  MemoryTree long_link;
  long_link.symlink(long_link.directory(long_link.root(), "dir"), "li\nnk", std::string(4096, 'x'));
  EXPECT_EQ(error_of(long_link.tree),
            "/dir/li\\nnk: symbolic link target of 4096 bytes, allowed are 1 to 4095");
  MemoryTree long_name;
  long_name.directory(long_name.root(), std::string(256, 'n'));
  EXPECT_THAT(error_of(long_name.tree), HasSubstr("not a possible file name"));
  MemoryTree device;
  device.add(device.root(), "x", FileType::block_device).device_major = 4096;
  EXPECT_THAT(error_of(device.tree), HasSubstr("/x: device number 4096:0 is out of range"));
  MemoryTree loop;
  Inode& inner = loop.directory(loop.root(), "inner");
  inner.children["outer"] = &inner;
  EXPECT_EQ(error_of(loop.tree), "/inner/outer: a directory with more than one name");
  MemoryTree owners;
  for (std::uint32_t i = 0; i < 65536; ++i)
    owners.add(owners.root(), base::cat(i), FileType::fifo).uid = i;
  EXPECT_THAT(error_of(owners.tree), HasSubstr("more than 65535 different user and group IDs"));
  MemoryTree vast;
  vast.file(vast.root(), "vast", "").size = 1ULL << 60;
  EXPECT_THAT(error_of(vast.tree), HasSubstr("/vast: the files together"));
  MemoryTree extents;
  extents.file(extents.root(), "f", "abc").extents = {{1, 0, 3}};
  EXPECT_THAT(error_of(extents.tree), HasSubstr("/f: data extents"));
}

TEST(SquashfsWriterErrorTest, OptionsAreChecked) {
  const Tree tree;
  EXPECT_THAT(error_of(tree, {.block_size = 100'000}), HasSubstr("block size 100000"));
  EXPECT_THAT(error_of(tree, {.block_size = 2U << 20}), HasSubstr("block size"));
  EXPECT_THAT(error_of(tree, {.threads = 0}), HasSubstr("at least one"));
  EXPECT_THAT(error_of(tree, {.codec = Codec::zstd, .level = 99}), HasSubstr("out of range"));
}

TEST(SquashfsWriterErrorTest, ABrokenSourceEndsAllThreads) {
  MemoryTree t;
  for (unsigned i = 0; i < 100; ++i) t.file(t.root(), base::cat("file", i), text(300'000, i));
  t.root().children["file70"]->source = t.keep(std::make_unique<BrokenSource>());
  for (const unsigned threads : {1U, 4U})
    EXPECT_EQ(error_of(t.tree, {.block_size = 4096, .threads = threads}), "the source is broken");
}

TEST(SquashfsWriterErrorTest, AFullDiskIsReported) {
  MemoryTree t;
  for (unsigned i = 0; i < 100; ++i) t.file(t.root(), base::cat("file", i), text(300'000, i));
  const base::UniqueFd full = base::open_file("/dev/full", O_WRONLY);
  for (const unsigned threads : {1U, 4U}) {
    WriteProgress progress;
    try {
      write_squashfs(t.tree, full.get(), 0, {.threads = threads}, progress);
      FAIL() << "accepted";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.errno_value(), ENOSPC);
    }
    const Tree empty;  // nothing but metadata
    EXPECT_THAT([&] { write_squashfs(empty, full.get(), 0, {}, progress); },
                fails_with("No space left on device"));
  }
}

// Every read waits, so that the producer stands in a full queue.
class SlowSource : public DataSource {
 public:
  void read_at(std::uint64_t, std::span<std::byte> out) const override {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::ranges::fill(out, std::byte{'x'});
  }
};

TEST(SquashfsWriterErrorTest, CancellingTakesEffectQuickly) {
  MemoryTree t;
  Inode& file = t.file(t.root(), "slow", "");
  file.source = t.keep(std::make_unique<SlowSource>());
  file.size = 1ULL << 32;
  file.extents = {{0, 0, file.size}};
  const base::UniqueFd fd(::memfd_create("image", MFD_CLOEXEC));
  WriteProgress progress;
  std::thread signal([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    progress.cancelled = true;
  });
  const auto start = std::chrono::steady_clock::now();
  std::string message;
  try {
    write_squashfs(t.tree, fd.get(), 0, {.threads = 2}, progress);
  } catch (const base::Error& error) {
    message = error.what();
  }
  signal.join();
  EXPECT_EQ(message, "cancelled");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

TEST(SquashfsWriterProgressTest, CountsEveryByteOnce) {
  MemoryTree t;
  fill_with_a_bit_of_everything(t);
  const base::UniqueFd fd(::memfd_create("image", MFD_CLOEXEC));
  WriteProgress progress;
  const SquashfsStats stats = write_squashfs(t.tree, fd.get(), 0, {.threads = 3}, progress);
  EXPECT_EQ(progress.bytes_done, stats.input_bytes);
}

}  // namespace
}  // namespace sif
