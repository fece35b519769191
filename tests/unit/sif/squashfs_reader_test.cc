// SPDX-License-Identifier: Apache-2.0
#include "sif/squashfs_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <filesystem>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/sif/made_image.h"

namespace sif {
namespace {

using ::testing::HasSubstr;

std::string random_letters(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string text(size, '\0');
  for (char& c : text) c = "abcdefgh"[random() % 8];
  return text;
}

// A tree with one of everything; devices and foreign owners only as root.
class ReaderTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(tree_ / "dir/inner");
    write_text(tree_ / "dir/small", "hello\n");
    write_text(tree_ / "dir/empty", "");
    write_text(tree_ / "dir/blocks", random_letters(3 * 131072, 1));
    write_text(tree_ / "dir/tail", random_letters(2 * 131072 + 777, 2));
    write_text(tree_ / "dir/random-tail", random_letters(50000, 3));
    write_text(tree_ / "dir/sparse", "start");
    std::filesystem::resize_file(tree_ / "dir/sparse", 5'000'000);
    std::filesystem::create_hard_link(tree_ / "dir/small", tree_ / "dir/inner/other");
    std::filesystem::create_symlink("../small", tree_ / "dir/inner/link");
    write_text(tree_ /
                   "dir/name\nwith\xff"
                   "bytes",
               "odd");
    ASSERT_EQ(::mkfifo((tree_ / "dir/fifo").c_str(), 0640), 0);
    ASSERT_EQ(::chmod((tree_ / "dir/small").c_str(), 04751), 0);
    const std::string shared_value(300, 'v');  // stored once, referred to by the second file
    for (const char* name : {"dir/small", "dir/tail"}) {
      has_xattrs_ = ::lsetxattr((tree_ / name).c_str(), "user.long", shared_value.data(),
                                shared_value.size(), 0) == 0;
    }
  }

  void open(const std::string& options) {
    if (!make_image(tree_.path(), image_path_, options))
      GTEST_SKIP() << "SKIPPED: mksquashfs " << options << " does not work here";
    image_ = open_made_image(image_path_);
  }

  InodeRef at(const std::string& path) const { return find_path(*image_, path).value(); }

  unit::TemporaryFolder tree_;
  unit::TemporaryFolder output_;
  std::string image_path_ = output_ / "image.sqfs";
  bool has_xattrs_ = false;
  OpenImage image_;
};

TEST_P(ReaderTest, GivesBackEveryFileByteForByteInPiecesOfAnySize) {
  open(GetParam());
  if (IsSkipped()) return;
  for (const char* name : {"small", "empty", "blocks", "tail", "random-tail", "sparse"}) {
    std::string expected;
    {
      std::ifstream in(tree_ / "dir/" + name, std::ios::binary);
      expected.assign(std::istreambuf_iterator<char>(in), {});
    }
    const InodeRef ref = at(std::string("dir/") + name);
    EXPECT_EQ(image_->attributes(ref).size, expected.size()) << name;
    for (const std::size_t piece : {4096U, 5000U, 131072U, 1U << 20})
      EXPECT_TRUE(read_all(*image_, ref, piece) == expected) << name << " in pieces of " << piece;
  }
}

TEST_P(ReaderTest, GivesAttributesLinksAndXattrs) {
  open(GetParam());
  if (IsSkipped()) return;
  const InodeAttributes small = image_->attributes(at("dir/small"));
  EXPECT_EQ(small.type, FileType::regular);
  EXPECT_EQ(small.mode, 04751);
  EXPECT_EQ(small.link_count, 2U);
  EXPECT_EQ(small.uid, ::geteuid());
  EXPECT_EQ(at("dir/small"), at("dir/inner/other"));
  EXPECT_EQ(image_->symlink_target(at("dir/inner/link")), "../small");
  EXPECT_EQ(image_->attributes(at("dir/fifo")).type, FileType::fifo);
  const InodeAttributes sparse = image_->attributes(at("dir/sparse"));
  if (GetParam().find("-no-sparse") == std::string::npos) {
    EXPECT_LT(sparse.allocated_size, sparse.size);
  }
  EXPECT_EQ(image_->attributes(at("dir/inner")).parent_inode_number,
            image_->attributes(at("dir")).inode_number);
  EXPECT_TRUE(find_path(*image_,
                        "dir/name\nwith\xff"
                        "bytes"));
  EXPECT_FALSE(find_path(*image_, "dir/absent"));
  if (!has_xattrs_) return;
  for (const char* name : {"dir/small", "dir/tail"}) {
    const auto xattrs = image_->xattrs(image_->attributes(at(name)));
    ASSERT_EQ(xattrs.size(), 1U) << name;
    EXPECT_EQ(xattrs[0].first, "user.long");
    EXPECT_EQ(xattrs[0].second, std::string(300, 'v'));
  }
}

INSTANTIATE_TEST_SUITE_P(Writers, ReaderTest,
                         ::testing::Values("-comp gzip", "-comp zstd", "-comp lz4",
                                           "-comp lz4 -Xhc", "-comp xz", "-comp xz -Xbcj x86",
                                           "-comp lzo", "-comp lzma", "-comp zstd -no-fragments",
                                           "-comp gzip -always-use-fragments", "-comp zstd -b 4096",
                                           "-comp zstd -b 1M", "-noI -noD -noF -noX -noId",
                                           "-comp gzip -no-exports -no-duplicates",
                                           "-comp zstd -tailends -no-sparse"));

TEST(Reader, KnowsDevicesAndForeignOwners) {
  if (::geteuid() != 0) GTEST_SKIP() << "SKIPPED: only root can make devices";
  const unit::TemporaryFolder tree;
  const unit::TemporaryFolder output;
  if (::mknod((tree / "device").c_str(), S_IFCHR | 0620, makedev(259, 70000)) != 0)
    GTEST_SKIP() << "SKIPPED: mknod is not allowed here";
  ASSERT_EQ(::lchown((tree / "device").c_str(), 100000, 4294967), 0);
  ASSERT_TRUE(make_image(tree.path(), output / "i", ""));
  const OpenImage image = open_made_image(output / "i");
  const InodeAttributes device = image->attributes(find_path(*image, "device").value());
  EXPECT_EQ(device.type, FileType::char_device);
  EXPECT_EQ(device.device_major, 259U);
  EXPECT_EQ(device.device_minor, 70000U);
  EXPECT_EQ(device.uid, 100000U);
  EXPECT_EQ(device.gid, 4294967U);
}

class HugeDirectoryTest : public ::testing::TestWithParam<const char*> {};

TEST_P(HugeDirectoryTest, ListsOnceAndFindsEveryName) {
  constexpr int kFiles = 8000;
  const unit::TemporaryFolder output;
  // A tar made in memory is quicker than so many files.
  ASSERT_TRUE(run_command(
      base::cat("python3 -c \"import tarfile\nt=tarfile.open('", output / "t",
                "','w')\n"
                "for i in range(",
                kFiles, "): t.addfile(tarfile.TarInfo('d/file-%06d' % i))\nt.close()\"")));
  if (!run_command(base::cat(GetParam(), " < ", output / "t", " ", output / "i")) &&
      !run_command(base::cat(GetParam(), " ", output / "i", " < ", output / "t")))
    GTEST_SKIP() << "SKIPPED: " << GetParam() << " does not work here";
  const OpenImage image = open_made_image(output / "i");
  const InodeRef directory = find_path(*image, "d").value();

  std::set<std::string> names;
  std::uint64_t cookie = 0;
  for (bool progress = true; progress;) {
    progress = false;
    int left = 22;  // as many as a page of READDIRPLUS holds
    image->list(directory, cookie, [&](const SquashfsReader::Entry& entry) {
      EXPECT_TRUE(names.insert(std::string(entry.name)).second) << entry.name;
      cookie = entry.next_cookie;
      progress = true;
      return --left > 0;
    });
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(kFiles));
  for (const std::string& name : names) ASSERT_TRUE(image->find_entry(directory, name)) << name;
  for (const char* name : {"", "a", "file-000000a", "file-004000 ", "zzz"})
    EXPECT_FALSE(image->find_entry(directory, name)) << name;
}

INSTANTIATE_TEST_SUITE_P(Writers, HugeDirectoryTest,
                         ::testing::Values("tar2sqfs -q -f -c zstd",
                                           "sqfstar -comp zstd -no-progress"));

TEST(Reader, FindsBlocksOfBigSparseFilesWithoutReadingAll) {
  const unit::TemporaryFolder tree;
  const unit::TemporaryFolder output;
  write_text(tree / "big", "begin");
  constexpr std::uint64_t kSize = 100ULL << 20;
  std::filesystem::resize_file(tree / "big", kSize);
  {
    std::fstream out(tree / "big", std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(static_cast<std::streamoff>(kSize / 2));
    out << "middle";
    out.seekp(static_cast<std::streamoff>(kSize - 3));
    out << "end";
  }
  ASSERT_TRUE(make_image(tree.path(), output / "i", "-comp gzip -b 4096"));  // 25,600 blocks
  const OpenImage image = open_made_image(output / "i");
  const InodeRef big = find_path(*image, "big").value();
  std::vector<std::byte> buffer(8);
  const auto text_at = [&](std::uint64_t offset) {
    const std::size_t count = image->read_file(big, offset, buffer);
    return std::string(reinterpret_cast<const char*>(buffer.data()), count);
  };
  EXPECT_EQ(text_at(kSize - 3), "end");
  EXPECT_EQ(text_at(kSize / 2), std::string("middle\0\0", 8));
  EXPECT_EQ(text_at(0), std::string("begin\0\0\0", 8));
  EXPECT_EQ(text_at(kSize), "");
}

// Every small file that the listings lead to, whatever inodes lie between, and no other.
TEST_P(ReaderTest, FindsWhatIsPackedIntoFragments) {
  for (int i = 0; i < 300; ++i)  // an indexed directory, and long links
    std::filesystem::create_symlink(random_letters(200, 1), tree_ / base::cat("dir/inner/link", i));
  open(GetParam());
  if (IsSkipped()) return;
  std::set<InodeRef> expected, found;
  for (const char* folder : {"dir", "dir/inner"}) {
    image_->list(at(folder), 0, [&](const SquashfsReader::Entry& entry) {
      if (image_->packed_file(entry.ref)) expected.insert(entry.ref);
      return true;
    });
  }
  std::uint64_t end = 0;
  for (const PackedFile& file : image_->packed_files()) {
    EXPECT_TRUE(found.insert(file.ref).second);
    EXPECT_EQ(file.size, image_->attributes(file.ref).size);
    const std::uint64_t start = std::uint64_t{file.fragment} << 32 | file.offset;
    EXPECT_GE(start, end);
    end = start + file.size;
  }
  EXPECT_EQ(found, expected);
  const bool packs = GetParam().find("-no-fragments") == std::string::npos;
  EXPECT_EQ(found.contains(at("dir/small")), packs);
  EXPECT_FALSE(found.contains(at("dir/sparse")));
  EXPECT_FALSE(found.contains(at("dir/empty")));
}

TEST(Reader, ServesManyThreadsAtOnce) {
  const unit::TemporaryFolder tree;
  const unit::TemporaryFolder output;
  std::vector<std::string> contents;
  for (unsigned i = 0; i < 100; ++i) {
    contents.push_back(random_letters(i * 1500, i));
    write_text(tree / base::cat("f", i), contents.back());
  }
  ASSERT_TRUE(make_image(tree.path(), output / "i", "-comp zstd"));
  const OpenImage image = open_made_image(output / "i");
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (unsigned n = 0; n < 100; ++n) {
        const unsigned i = t % 2 == 0 ? n : 99 - n;
        const auto ref = image->find_entry(image->root(), base::cat("f", i));
        ASSERT_TRUE(ref);
        ASSERT_TRUE(read_all(*image, *ref, 30000 + t * 10000) == contents[i]) << i;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Reader, RefusesWhatIsNoSoundSuperblock) {
  const unit::TemporaryFolder tree;
  const unit::TemporaryFolder output;
  write_text(tree / "file", "text");
  ASSERT_TRUE(make_image(tree.path(), output / "i", ""));
  const auto message = [&](std::uint64_t position, const std::string& bytes) {
    std::filesystem::copy_file(output / "i", output / "bad",
                               std::filesystem::copy_options::overwrite_existing);
    const base::UniqueFd fd = base::open_file(output / "bad", O_WRONLY);
    base::pwrite_all(fd.get(), std::as_bytes(std::span(bytes)), position, "bad");
    try {
      open_made_image(output / "bad");
    } catch (const base::Error& error) {
      EXPECT_EQ(error.errno_value(), EIO);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(message(0, "x"), HasSubstr("magic number"));
  EXPECT_THAT(message(12, std::string(4, '\xff')), HasSubstr("block size 4294967295"));
  EXPECT_THAT(message(20, std::string("\x07\x00", 2)), HasSubstr("compression 7"));
  EXPECT_THAT(message(28, std::string("\x03\x00", 2)), HasSubstr("format version 3.0"));
  EXPECT_THAT(message(40, std::string("\xff\xff\xff\xff\x00", 5)), HasSubstr("is truncated"));
  EXPECT_THAT(message(64, std::string(8, '\x7f')), HasSubstr("inode table at offset"));
  EXPECT_THAT(message(32, std::string(6, '\x7f')), HasSubstr("inode reference"));
}

}  // namespace
}  // namespace sif
