// SPDX-License-Identifier: Apache-2.0
// Images are unpacked by unsquashfs and compared; what an unprivileged unpacking cannot show
// (owners, devices) is read from its listing.
#include "sif/squashfs_writer.h"

#include <sys/stat.h>

#include <map>
#include <sstream>

#include "tests/unit/sif/written_image.h"

namespace sif {
namespace {

using test::MemoryTree;
using test::noise;
using test::text;
using testing::HasSubstr;

void compare_with_unpacked(const Inode& directory, const std::filesystem::path& path) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(path)) ++count;
  EXPECT_EQ(count, directory.children.size()) << path;
  for (const auto& [name, child] : directory.children) {
    const std::filesystem::path at = path / name;
    struct stat status {};
    ASSERT_EQ(::lstat(at.c_str(), &status), 0) << at;
    if (child->type != FileType::symlink) {
      EXPECT_EQ(status.st_mode & 07777, child->mode) << at;
    }
    switch (child->type) {
      case FileType::directory:
        compare_with_unpacked(*child, at);
        break;
      case FileType::symlink:
        EXPECT_EQ(base::find_link_target(at), child->symlink_target) << at;
        break;
      case FileType::regular: {
        std::string expected(child->size, '\0');
        for (const DataExtent& extent : child->extents)
          child->source->read_at(extent.source_offset,
                                 std::as_writable_bytes(std::span(expected).subspan(
                                     extent.file_offset, extent.length)));
        EXPECT_TRUE(content_of(at) == expected) << at;
        break;
      }
      default:
        break;
    }
  }
}

struct CodecCase {
  Codec codec;
  int level;
};

class SquashfsWriterCodecTest : public SquashfsWriterTest,
                                public testing::WithParamInterface<CodecCase> {};

TEST_P(SquashfsWriterCodecTest, TheTreeComesBackForEveryBlockSize) {
  MemoryTree t;
  fill_with_a_bit_of_everything(t);
  for (const std::uint32_t block_size : {4096U, 131072U, 1048576U}) {
    const Image image = write_image(
        t.tree, {.codec = GetParam().codec, .level = GetParam().level, .block_size = block_size});
    compare_with_unpacked(t.root(), unpack(image));
  }
}

TEST_P(SquashfsWriterCodecTest, TheSameBytesForAnyNumberOfThreads) {
  MemoryTree t;
  fill_with_a_bit_of_everything(t);
  SquashfsOptions options{.codec = GetParam().codec, .level = GetParam().level};
  options.block_size = 16384;
  const Image one = write_image(t.tree, options);
  for (const unsigned threads : {2U, 4U, 8U}) {
    options.threads = threads;
    EXPECT_TRUE(write_image(t.tree, options).bytes == one.bytes) << threads;
  }
}

TEST_F(SquashfsWriterTest, VeryLargeFilesArePackedWithTheQuickSearch) {
  constexpr std::uint64_t kLarge = 64 << 20;
  const auto packed = [this](std::uint64_t size, unsigned threads) {
    MemoryTree t;
    t.file(t.root(), "weights", text(2'000'000, 5)).size = size;  // a hole behind the text
    Image image = write_image(t.tree, {.threads = threads});
    if (threads == 1) compare_with_unpacked(t.root(), unpack(image));
    return image.bytes;
  };
  EXPECT_GT(packed(kLarge, 1).size(), packed(kLarge - 1, 1).size());
  EXPECT_TRUE(packed(kLarge, 1) == packed(kLarge, 4));
}

INSTANTIATE_TEST_SUITE_P(All, SquashfsWriterCodecTest,
                         testing::Values(CodecCase{Codec::zstd, 3}, CodecCase{Codec::gzip, 6},
                                         CodecCase{Codec::lz4, 1}, CodecCase{Codec::lz4, 9},
                                         CodecCase{Codec::xz, 1}),
                         [](const auto& each) {
                           return std::string(codec_name(each.param.codec)) +
                                  std::to_string(each.param.level);
                         });

TEST_F(SquashfsWriterTest, AnEmptyTree) {
  const Tree tree;
  const Image image = write_image(tree);
  EXPECT_EQ(image.bytes.size(), 4096U);
  EXPECT_EQ(image.stats.inodes, 1U);
  EXPECT_TRUE(std::filesystem::is_empty(unpack(image)));
}

TEST_F(SquashfsWriterTest, StartsAtAnOffset) {
  MemoryTree t;
  fill_with_a_bit_of_everything(t);
  EXPECT_TRUE(write_image(t.tree, {}, 36864).bytes == write_image(t.tree).bytes);
}

TEST_F(SquashfsWriterTest, DevicesOwnersAndTimes) {
  MemoryTree t;
  Inode& null = t.add(t.root(), "null", FileType::char_device, 0666);
  null.device_major = 1;
  null.device_minor = 3;
  Inode& disk = t.add(t.root(), "disk", FileType::block_device, 0660);
  disk.device_major = 0xFFF;
  disk.device_minor = 0xFFFFF;
  disk.uid = 0xFFFFFFFE;
  disk.gid = 70000;
  t.add(t.root(), "fifo", FileType::fifo, 0600).mtime = -5;
  t.add(t.root(), "socket", FileType::socket, 0755).mtime = 1LL << 40;
  const std::string lines = listing(write_image(t.tree));
  using testing::ContainsRegex;
  EXPECT_THAT(lines, ContainsRegex("crw-rw-rw- 0/0 +1, +3 1970-01-01 00:00 squashfs-root/null"));
  // unsquashfs cannot print minor numbers above 255.
  EXPECT_THAT(lines, ContainsRegex("brw-rw---- 4294967294/70000 .*squashfs-root/disk"));
  EXPECT_THAT(lines, ContainsRegex("prw------- 0/0 +0 1970-01-01 00:00 squashfs-root/fifo"));
  EXPECT_THAT(lines, ContainsRegex("srwxr-xr-x 0/0 +0 2106-02-07 06:28 squashfs-root/socket"));
}

TEST_F(SquashfsWriterTest, EqualFilesAreWrittenOnce) {
  MemoryTree once, twice;
  once.file(once.root(), "a", noise(3'000'000, 1));
  twice.file(twice.root(), "a", noise(3'000'000, 1));
  twice.file(twice.root(), "b", noise(3'000'000, 1));
  const Image image = write_image(twice.tree);
  EXPECT_EQ(image.stats.duplicate_bytes, 3'000'000U);
  EXPECT_LE(image.bytes.size(), write_image(once.tree).bytes.size() + 4096);
  compare_with_unpacked(twice.root(), unpack(image));
}

TEST_F(SquashfsWriterTest, FilesThatDifferInOneByteStayDifferent) {
  MemoryTree t;
  std::string content = text(500'000, 1);
  t.file(t.root(), "a", content);
  content[250'000] ^= 1;
  t.file(t.root(), "b", content);
  t.file(t.root(), "c", content);
  content[250'001] ^= 1;
  t.file(t.root(), "d", content);
  t.file(t.root(), "e", content);
  const Image image = write_image(t.tree);
  EXPECT_EQ(image.stats.duplicate_bytes, 1'000'000U);
  compare_with_unpacked(t.root(), unpack(image));
}

TEST_F(SquashfsWriterTest, HolesTakeNoSpace) {
  MemoryTree t;
  Inode& sparse = t.file(t.root(), "sparse", "begin" + noise(131072, 1) + "end");
  sparse.size = 9ULL << 30;
  sparse.extents = {{10, 0, 5}, {131072 * 5, 5, 131072}, {(9ULL << 30) - 3, 131072 + 5, 3}};
  const Image image = write_image(t.tree);
  EXPECT_LT(image.bytes.size(), 400'000U);
  const std::filesystem::path file = unpack(image) / "sparse";
  EXPECT_EQ(std::filesystem::file_size(file), 9ULL << 30);
  std::ifstream in(file, std::ios::binary);
  std::string read(131072, '\0');
  in.read(read.data(), 131072);
  EXPECT_EQ(read.substr(8, 9), std::string("\0\0begin\0\0", 9));
  in.seekg(131072 * 5).read(read.data(), 131072);
  EXPECT_TRUE(read == noise(131072, 1));
  in.seekg(-5, std::ios::end).read(read.data(), 5);
  EXPECT_EQ(read.substr(0, 5), std::string("\0\0end", 5));
}

TEST_F(SquashfsWriterTest, ManyEntriesInOneFolder) {
  MemoryTree t;
  Inode& big = t.directory(t.root(), "big");
  for (unsigned i = 0; i < 70'000; ++i)
    t.add(big, base::cat("an entry with number ", i), FileType::fifo);
  const std::string lines = listing(write_image(t.tree));
  EXPECT_GT(std::ranges::count(lines, '\n'), 70'000);
  EXPECT_THAT(lines, HasSubstr("an entry with number 69999"));
}

// Sizes of listings around the limit of a basic directory inode's 16-bit size.
TEST_F(SquashfsWriterTest, ListingsAroundSixtyFourKibibytes) {
  MemoryTree t;
  for (unsigned length = 1; length < 20; ++length) {
    Inode& directory = t.directory(t.root(), base::cat("d", length));
    for (unsigned i = 0; i < 250; ++i)
      t.add(directory, base::cat(std::string(246, 'n'), 1000 + i), FileType::fifo);
    for (unsigned i = 0; i < 5; ++i)
      t.add(directory, base::cat(i, std::string(55 + length, 'z')), FileType::fifo);
  }
  const Image image = write_image(t.tree);
  compare_with_unpacked(t.root(), unpack(image));
}

TEST_F(SquashfsWriterTest, DeepNesting) {
  MemoryTree t;
  Inode* directory = &t.root();
  for (int i = 0; i < 100'000; ++i) directory = &t.directory(*directory, "d");
  EXPECT_EQ(write_image(t.tree).stats.inodes, 100'001U);
}

TEST_F(SquashfsWriterTest, ExtendedAttributesOfTheThreeNameSpaces) {
  if (::access("/usr/bin/sqfs2tar", X_OK) != 0)
    GTEST_SKIP() << "NOT CHECKED: sqfs2tar (squashfs-tools-ng) is missing";
  MemoryTree t;
  for (int i = 0; i < 1536; ++i) {  // three metadata blocks of sets
    Inode& file = t.file(t.root(), base::cat("file", i), "");
    file.xattrs["user.number"] = base::cat("number ", i);
    file.xattrs["security.capability"] = std::string("\1\0\0\2\0\4\0\0", 8);
    file.xattrs["trusted.x"] = "";
    file.xattrs["system.posix_acl_access"] = "left out";
  }
  t.file(t.root(), "large", "").xattrs["user.large"] = std::string(65536, 'v');
  std::ofstream(dir_ / "image", std::ios::binary) << write_image(t.tree).bytes;
  const std::string tar = output_of(base::cat("/usr/bin/sqfs2tar ", dir_ / "image"));
  for (const char* expected : {"SCHILY.xattr.user.number=number 1535\n",
                               "SCHILY.xattr.user.number=number 0\n", "SCHILY.xattr.trusted.x=\n",
                               "SCHILY.xattr.security.capability=", "SCHILY.xattr.user.large=vvvv"})
    EXPECT_TRUE(tar.find(expected) != tar.npos) << expected;
  EXPECT_EQ(tar.find("left out"), tar.npos);
}

}  // namespace
}  // namespace sif
