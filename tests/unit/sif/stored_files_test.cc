// SPDX-License-Identifier: Apache-2.0
// Images made of images: unsquashfs says what is in them, and sizes of blocks whether they were
// taken as they are.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/syscalls.h"
#include "sif/file_content.h"
#include "sif/image_tree.h"
#include "tests/unit/sif/made_image.h"
#include "tests/unit/sif/memory_tree.h"
#include "tests/unit/sif/written_image.h"

namespace sif {
namespace {

// What mksquashfs makes of a tree of large, small, sparse, equal and empty files.
class StoredFilesTest : public SquashfsWriterTest {
 protected:
  void SetUp() override {
    SquashfsWriterTest::SetUp();
    ASSERT_TRUE(run_command(
        "mkdir -p '" + tree_ + "/lib' && cd '" + tree_ +
        "' && for i in $(seq 300); do seq $i $((i * 9)) > lib/$i; done && seq 200000 > large && "
        "head -c 600000 /dev/urandom > random && cp large lib/large && head -c 131072 large > "
        "whole "
        "&& : > empty && truncate -s 3M holes && printf x | dd status=none of=holes bs=1 "
        "seek=1500000 "
        "conv=notrunc && ln lib/7 lib/seven && mkdir -p etc && seq 90 > etc/passwd"));
  }
  void make(const std::string& options) {
    ASSERT_TRUE(make_image(tree_, dir_ / "old", options)) << "mksquashfs (squashfs-tools)";
    old_ = open_made_image(dir_ / "old");
    image_ = std::make_unique<ImageTree>(*old_);
  }
  void expect_same(const Image& image, const std::string& expected) {
    EXPECT_EQ(
        output_of("diff -r --no-dereference '" + expected + "' '" + unpack(image).native() + "'"),
        "");
  }
  // The sizes of a file's blocks.
  static std::vector<std::uint32_t> size_words(const SquashfsReader& reader,
                                               const std::string& path) {
    std::vector<std::uint32_t> words;
    reader.visit_blocks(*find_path(reader, path),
                        [&](const StoredBlock& block) { words.push_back(block.size_word); });
    return words;
  }
  std::vector<std::uint32_t> new_size_words(const Image& image, const std::string& path) {
    std::ofstream(dir_ / "new", std::ios::binary) << image.bytes;
    return size_words(*open_made_image(dir_ / "new"), path);
  }

  const std::string tree_ = dir_ / "tree";
  OpenImage old_;
  std::unique_ptr<ImageTree> image_;
  std::deque<test::MemorySource> sources_;  // of files that are new
};

struct Writer {
  const char* name;
  const char* options;
  bool is_taken;
};

class StoredFilesOfTest : public StoredFilesTest, public testing::WithParamInterface<Writer> {};

INSTANTIATE_TEST_SUITE_P(
    Writers, StoredFilesOfTest,
    testing::Values(Writer{"zstd", "-comp zstd -Xcompression-level 19", true},
                    Writer{"no_fragments", "-comp zstd -Xcompression-level 19 -no-fragments", true},
                    Writer{"tails", "-comp zstd -Xcompression-level 19 -always-use-fragments",
                           true},
                    Writer{"stored", "-comp zstd -noD -noF", true},
                    Writer{"smaller_blocks", "-comp zstd -Xcompression-level 19 -b 64K", false},
                    Writer{"gzip", "-comp gzip", false}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_P(StoredFilesOfTest, AreWhatTheyWere) {
  make(GetParam().options);
  const Image image = write_image(image_->tree);
  expect_same(image, tree_);
  const bool is_taken = size_words(*old_, "large") == new_size_words(image, "large");
  EXPECT_EQ(is_taken, GetParam().is_taken);
  EXPECT_EQ(image.bytes, write_image(image_->tree, {.threads = 4}).bytes);
  // Equal files are still stored once.
  EXPECT_LT(image.bytes.size(), std::filesystem::file_size(dir_ / "old") + 100'000);
}

TEST_P(StoredFilesOfTest, StayBesideNewOnes) {
  make(GetParam().options);
  run_command("cd '" + tree_ + "' && rm lib/2* random && cp large lib/copy && cp lib/9 etc/nine");
  auto& root = image_->tree.root().children;
  auto& lib = root.at("lib")->children;
  std::erase_if(lib, [](const auto& each) { return each.first.starts_with('2'); });
  root.erase("random");
  const auto copy_of = [&](const Inode& from) {
    Inode& made = image_->tree.make(FileType::regular, 0644);
    made.size = from.size;
    std::string text(from.size, '\0');
    read_content(from, 0, std::as_writable_bytes(std::span(text)));
    made.source = &sources_.emplace_back(std::move(text));
    made.extents = {{0, 0, made.size}};
    return &made;
  };
  lib["copy"] = copy_of(*root.at("large"));
  root.at("etc")->children["nine"] = copy_of(*lib.at("9"));
  const Image image = write_image(image_->tree);
  expect_same(image, tree_);
  EXPECT_GE(image.stats.duplicate_bytes, 2 * root.at("large")->size);
}

// libsquashfs lets files share blocks from the first one on, and holes take none.
TEST_F(StoredFilesTest, BeginningAtTheSameBlockIsNotBeingEqual) {
  ASSERT_TRUE(run_command(
      "cd '" + tree_ +
      "' && rm -r * && head -c 131072 /dev/urandom > x && "
      "head -c 131072 /dev/urandom > y && head -c 131072 /dev/zero > z && cat x y > all && "
      "cat x z > before && cat z x > behind && cat x z y > between && cat x y z > start && "
      "cp all again && tar -cf ../t.tar * && tar2sqfs -q -f -c zstd ../old < ../t.tar"))
      << "tar2sqfs (squashfs-tools-ng)";
  old_ = open_made_image(dir_ / "old");
  image_ = std::make_unique<ImageTree>(*old_);
  // In this order, what is new meets what is taken.
  Inode& copy = image_->tree.make(FileType::regular, 0644);
  Inode& root = image_->tree.root();
  std::string text(root.children.at("before")->size, '\0');
  read_content(*root.children.at("before"), 0, std::as_writable_bytes(std::span(text)));
  copy.size = text.size();
  copy.source = &sources_.emplace_back(std::move(text));
  copy.extents = {{0, 0, copy.size}};
  root.children["a-copy"] = root.children["z-copy"] = &copy;
  ASSERT_TRUE(run_command("cd '" + tree_ + "' && cp before a-copy && cp before z-copy"));
  expect_same(write_image(image_->tree), tree_);
}

TEST_F(StoredFilesTest, DamageIsNotCopied) {
  make("-comp zstd -Xcompression-level 3");
  std::uint64_t position = 0;
  old_->visit_blocks(*find_path(*old_, "large"), [&](const StoredBlock& block) {
    if (position == 0) position = block.position;
  });
  const base::UniqueFd fd = base::open_file(dir_ / "old", O_RDWR);
  base::pwrite_all(fd.get(), std::as_bytes(std::span("damage", 6)), position, "old");
  EXPECT_THAT(error_of(image_->tree), testing::HasSubstr(base::cat("offset ", position)));
}

TEST_F(StoredFilesTest, WhoWantsEveryByteGetsItCompressedAnew) {
  make("-comp zstd -Xcompression-level 1");
  EXPECT_EQ(size_words(*old_, "large"), new_size_words(write_image(image_->tree), "large"));
  const Image small = write_image(image_->tree, {.level = 14});
  EXPECT_NE(size_words(*old_, "large"), new_size_words(small, "large"));
  expect_same(small, tree_);
}

}  // namespace
}  // namespace sif
