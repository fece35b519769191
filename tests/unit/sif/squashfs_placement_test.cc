// SPDX-License-Identifier: Apache-2.0
// What lies where in an image, and what is stored as it is: what every start of a program reads.
#include "tests/unit/sif/written_image.h"

namespace sif {
namespace {

using SquashfsPlacementTest = SquashfsWriterTest;

TEST_F(SquashfsPlacementTest, LoadersAreStoredPlainUnlessSizeIsTheAim) {
  constexpr std::size_t kBlocks = 3 * kDefaultBlockSize;
  const auto image_of = [&](const std::string& name, SquashfsOptions options) {
    test::MemoryTree memory;
    memory.file(memory.root(), name, test::text(kBlocks, 1));
    return write_image(memory.tree, options);
  };
  for (const SquashfsOptions fast : {SquashfsOptions{.codec = Codec::zstd, .level = 3},
                                     SquashfsOptions{.codec = Codec::lz4, .level = 1}}) {
    const Image image = image_of("libc.so.6", fast);
    EXPECT_GT(image.bytes.size(), kBlocks);
    EXPECT_EQ(content_of(unpack(image) / "libc.so.6"), test::text(kBlocks, 1));
    EXPECT_LT(image_of("libcrypt.so.1", fast).bytes.size(), kBlocks);
  }
  for (const SquashfsOptions small : {SquashfsOptions{.codec = Codec::gzip, .level = 6},
                                      SquashfsOptions{.codec = Codec::zstd, .level = 14}})
    EXPECT_LT(image_of("libc.so.6", small).bytes.size(), kBlocks);
}

TEST_F(SquashfsPlacementTest, WhatEveryStartReadsIsStoredTogetherAsItIs) {
  test::MemoryTree memory;
  Inode& etc = memory.directory(memory.root(), "etc");
  memory.file(etc, "aliases", test::text(2000, 1));
  memory.file(etc, "passwd", test::text(2000, 2));
  memory.file(memory.directory(etc, "deeper"), "passwd", test::text(2000, 3));
  Inode& scripts = memory.directory(memory.directory(memory.root(), ".singularity.d"), "env");
  memory.file(scripts, "10-docker2singularity.sh", test::text(2000, 4));
  memory.file(memory.directory(memory.root(), "lib"), "libc.so.6", test::text(2000, 5));
  const auto holds = [](const Image& image, unsigned seed) {
    return image.bytes.find(test::text(2000, seed)) != std::string::npos;
  };
  const Image image = write_image(memory.tree);
  const std::string wanted = test::text(2000, 4) + test::text(2000, 2) + test::text(2000, 5);
  EXPECT_NE(image.bytes.find(wanted), std::string::npos);
  EXPECT_FALSE(holds(image, 1) || holds(image, 3));
  EXPECT_EQ(content_of(unpack(image) / "etc/aliases"), test::text(2000, 1));
  EXPECT_EQ(content_of(unpack(image) / "etc/passwd"), test::text(2000, 2));
  const Image small = write_image(memory.tree, {.codec = Codec::gzip, .level = 6});
  EXPECT_FALSE(holds(small, 2) || holds(small, 4) || holds(small, 5));
}

TEST_F(SquashfsPlacementTest, InodesAndListingsAreStoredAsTheyAreUnlessSizeIsTheAim) {
  test::MemoryTree memory;
  for (unsigned i = 0; i < 500; ++i)
    memory.symlink(memory.root(), base::cat("name", i), base::cat(test::text(30, i), i));
  const auto holds_targets = [&](const SquashfsOptions& options) {
    return write_image(memory.tree, options).bytes.find(test::text(30, 499) + "499") !=
           std::string::npos;
  };
  EXPECT_TRUE(holds_targets({}));
  EXPECT_FALSE(holds_targets({.codec = Codec::gzip, .level = 6}));
}

}  // namespace
}  // namespace sif
