// SPDX-License-Identifier: Apache-2.0
// Images are unpacked by unsquashfs and compared; what an unprivileged unpacking cannot show
// (owners, devices) is read from its listing.
#include "sif/squashfs_writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "memory_tree.h"

namespace sif {
namespace {

using test::BrokenSource;
using test::MemoryTree;
using test::noise;
using test::text;
using testing::HasSubstr;

class TempDir {
 public:
  TempDir() : path_(std::filesystem::temp_directory_path() / "squashfs_writer_XXXXXX") {
    std::string name = path_;
    if (::mkdtemp(name.data()) == nullptr) throw base::errno_error(errno, "mkdtemp");
    path_ = name;
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

struct Image {
  std::string bytes;
  SquashfsStats stats;
};

Image write_image(const Tree& tree, const SquashfsOptions& options = {}, std::uint64_t offset = 0) {
  const base::UniqueFd fd(::memfd_create("image", MFD_CLOEXEC));
  WriteProgress progress;
  Image image;
  image.stats = write_squashfs(tree, fd.get(), offset, options, progress);
  image.bytes.resize(image.stats.image_bytes);
  base::pread_exactly(fd.get(), std::as_writable_bytes(std::span(image.bytes)), offset, "image");
  EXPECT_EQ(static_cast<std::uint64_t>(base::file_status(fd.get(), "image").st_size),
            offset + image.stats.image_bytes);
  return image;
}

std::string error_of(const Tree& tree, const SquashfsOptions& options = {}) {
  try {
    write_image(tree, options);
  } catch (const base::Error& error) {
    return error.what();
  }
  return "no error";
}

std::string output_of(const std::string& command) {
  std::string output;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4096> chunk{};
  for (std::size_t n; (n = std::fread(chunk.data(), 1, chunk.size(), pipe)) > 0;)
    output.append(chunk.data(), n);
  const int status = ::pclose(pipe);
  if (status != 0) output += base::cat("\nexit status ", status);
  return output;
}

bool have_unsquashfs() { return ::access("/usr/bin/unsquashfs", X_OK) == 0; }

std::string content_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class SquashfsWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!have_unsquashfs()) GTEST_SKIP() << "NOT CHECKED: unsquashfs (squashfs-tools) is missing";
  }
  // The image unpacked by unsquashfs.
  std::filesystem::path unpack(const Image& image) {
    std::ofstream(dir_ / "image", std::ios::binary) << image.bytes;
    const std::filesystem::path root = dir_ / "root";
    std::filesystem::remove_all(root);
    const std::string output = output_of(base::cat("/usr/bin/unsquashfs -no-progress -d ",
                                                   root.native(), " ", (dir_ / "image").native()));
    EXPECT_THAT(output, testing::Not(HasSubstr("exit status"))) << output;
    return root;
  }
  std::string listing(const Image& image) {
    std::ofstream(dir_ / "image", std::ios::binary) << image.bytes;
    return output_of(base::cat("TZ=UTC /usr/bin/unsquashfs -lln ", (dir_ / "image").native()));
  }
  TempDir dir_;
};

MemoryTree& fill_with_a_bit_of_everything(MemoryTree& t) {
  Inode& usr = t.directory(t.root(), "usr");
  Inode& bin = t.directory(usr, "bin");
  t.file(bin, "program", text(700'000, 1)).mode = 04755;
  t.file(bin, "packed", noise(400'000, 2));
  Inode& linked = t.file(bin, "linked", text(300, 3));
  usr.children["linked too"] = &linked;
  Inode& lib = t.directory(usr, "lib");
  for (unsigned i = 0; i < 100; ++i) t.file(lib, base::cat("file", i), text(i * 97, i));
  t.file(lib, "copy of packed", noise(400'000, 2));
  t.file(lib, "copy of file99", text(99 * 97, 99));
  t.file(lib, "zeros", std::string(1'000'000, '\0'));
  t.file(lib, "empty", "");
  t.file(lib, "a block", text(131072, 9));
  t.symlink(t.root(), "bin", "usr/bin");
  t.symlink(lib, "long", std::string(4095, 'x'));
  t.directory(t.root(), "empty dir").mode = 01777;
  return t;
}

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
  const std::string tar = output_of(base::cat("/usr/bin/sqfs2tar ", (dir_ / "image").native()));
  for (const char* expected : {"SCHILY.xattr.user.number=number 1535\n",
                               "SCHILY.xattr.user.number=number 0\n", "SCHILY.xattr.trusted.x=\n",
                               "SCHILY.xattr.security.capability=", "SCHILY.xattr.user.large=vvvv"})
    EXPECT_TRUE(tar.find(expected) != tar.npos) << expected;
  EXPECT_EQ(tar.find("left out"), tar.npos);
}

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
    EXPECT_THROW(write_squashfs(empty, full.get(), 0, {}, progress), base::Error);
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

TEST_F(SquashfsWriterTest, LoadersAreStoredPlainUnlessSizeIsTheAim) {
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

TEST_F(SquashfsWriterTest, WhatEveryStartReadsIsStoredTogetherAsItIs) {
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

TEST_F(SquashfsWriterTest, InodesAndListingsAreStoredAsTheyAreUnlessSizeIsTheAim) {
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
