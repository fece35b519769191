// SPDX-License-Identifier: Apache-2.0
// New file systems as e2fsprogs sees them: beside those of mkfs.ext3, and by e2fsck and debugfs.
#include "ext/make_file_system.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"
#include "base/syscalls.h"
#include "tests/unit/temporary_folder.h"

namespace ext {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t kMebibyte = 1 << 20;

struct Outcome {
  int status;
  std::string output;
};

Outcome run(const std::string& command) {
  FILE* pipe =
      ::popen(("PATH=$PATH:/usr/sbin:/sbin LC_ALL=C; { " + command + "; } 2>&1").c_str(), "r");
  Outcome done{};
  for (char piece[4096]; std::size_t count = std::fread(piece, 1, sizeof piece, pipe);)
    done.output.append(piece, count);
  done.status = ::pclose(pipe);
  return done;
}

class MakeFileSystemTest : public testing::Test {
 protected:
  std::string image() const { return folder_ / "image"; }
  std::string debugfs(const std::string& request) const {
    return run("debugfs -R '" + request + "' " + image()).output;
  }
  void make(std::uint64_t size, const NewFileSystem& wanted, std::uint64_t offset = 0,
            std::uint64_t behind = 0) const {
    const base::UniqueFd fd = base::open_file(image(), O_RDWR | O_CREAT | O_TRUNC, 0600);
    std::filesystem::resize_file(image(), offset + size + behind);
    make_file_system(Partition(fd.get(), offset, size, "image"), wanted);
  }
  std::string error_of(std::uint64_t size, const NewFileSystem& wanted) const {
    try {
      make(size, wanted);
    } catch (const base::Error& error) {
      return error.what();
    }
    return "";
  }
  void check() const {
    const Outcome done = run("e2fsck -fn " + image());
    EXPECT_EQ(done.status, 0) << done.output;
  }

  const unit::TemporaryFolder folder_;
};

const NewFileSystem kOverlay{.folders = {"upper", "upper/data", "upper/a/b", "work"},
                             .uid = 1000,
                             .gid = 100'000,
                             .uuid = {1, 2, 3},
                             .hash_seed = {4, 5, 6},
                             .created = 1'700'000'000};

class LikeMkfs : public MakeFileSystemTest, public testing::WithParamInterface<std::uint64_t> {};

// Group by group, but for what is by chance and what is by the clock.
TEST_P(LikeMkfs, IsWhatItMakes) {
  const std::uint64_t size = GetParam() * kMebibyte;
  make(size, kOverlay);
  check();
  const std::string root = folder_ / "root", reference = folder_ / "reference";
  ASSERT_EQ(run("mkdir -p " + root + "/upper/data " + root + "/upper/a/b " + root +
                "/work; truncate -s " + std::to_string(size) + " " + reference +
                "; mkfs.ext3 -q -F -d " + root + " " + reference)
                .output,
            "");
  const std::string kept =
      " | grep -v -e UUID -e Seed -e created -e written -e 'write time' -e checked -e '^dumpe2fs'";
  EXPECT_EQ(run("dumpe2fs " + image() + kept).output, run("dumpe2fs " + reference + kept).output);
}

// Around the size from which blocks are larger, and with a last group that is too small for one.
INSTANTIATE_TEST_SUITE_P(Sizes, LikeMkfs,
                         testing::Values(3, 64, 65, 511, 512, 513, 1024, 10'240, 51'200));

TEST_F(MakeFileSystemTest, OwnersAndModes) {
  make(64 * kMebibyte, kOverlay);
  EXPECT_THAT(debugfs("ls -l"), ContainsRegex(R"( 2   40755 \(2\)      0      0 .*\.
 .* 2   40755 \(2\)      0      0 .*\.\.
 .*40700 \(2\)      0      0   12288 14-Nov-2023 .* lost\+found
 .*40755 \(2\)   1000  100000    1024 14-Nov-2023 .* upper
 .*40755 \(2\)   1000  100000    1024 14-Nov-2023 .* work)"));
  EXPECT_THAT(
      debugfs("ls -l upper"),
      ContainsRegex("40755 \\(2\\)   1000  100000 .* data\n.*40755 \\(2\\)   1000  100000 .* a\n"));
  EXPECT_THAT(debugfs("stat upper/a/b"),
              AllOf(HasSubstr("Mode:  0755"), HasSubstr("User:  1000   Group: 100000"),
                    HasSubstr("ctime: 0x6553f100:00000000"),
                    HasSubstr("crtime: 0x6553f100:00000000"), HasSubstr("Links: 2")));
  EXPECT_THAT(debugfs("stat upper"), HasSubstr("Links: 4"));
}

TEST_F(MakeFileSystemTest, SameWishesSameBytes) {
  make(64 * kMebibyte, kOverlay);
  std::filesystem::rename(image(), folder_ / "first");
  make(64 * kMebibyte, kOverlay);
  EXPECT_EQ(run("cmp " + image() + " " + (folder_ / "first")).output, "");
}

TEST_F(MakeFileSystemTest, ManyFolders) {
  NewFileSystem wanted = kOverlay;
  for (int i = 0; i < 2000; ++i)
    wanted.folders.push_back("upper/" + std::string(200, 'x') + std::to_string(i));
  make(64 * kMebibyte, wanted);
  check();
  EXPECT_THAT(debugfs("stat upper"), HasSubstr("Links: 2004"));
}

// Nothing around it changes.
TEST_F(MakeFileSystemTest, WithinAFile) {
  make(64 * kMebibyte, kOverlay, 12'345 * 4096, 5000);
  const std::string part = folder_ / "part";
  EXPECT_EQ(
      run("dd status=none bs=4096 skip=12345 count=16384 if=" + image() + " of=" + part).output,
      "");
  EXPECT_EQ(run("e2fsck -fn " + part).status, 0);
  EXPECT_EQ(run("cmp -n 50565120 " + image() + " /dev/zero").output, "");
  EXPECT_EQ(run("cmp -n 5000 -i " + std::to_string(12'345 * 4096 + 64 * kMebibyte) + ":0 " +
                image() + " /dev/zero")
                .output,
            "");
  EXPECT_EQ(std::filesystem::file_size(image()), 12'345 * 4096 + 64 * kMebibyte + 5000);
}

// 400 groups of bitmaps, and the tables' copies; mkfs.ext3 writes the journal, too.
TEST_F(MakeFileSystemTest, LeavesHoles) {
  make(51'200 * kMebibyte, kOverlay);
  struct stat status {};
  ASSERT_EQ(::stat(image().c_str(), &status), 0);
  EXPECT_LT(status.st_blocks * 512, 16 * kMebibyte);
}

TEST_F(MakeFileSystemTest, SizesThatCannotBe) {
  EXPECT_THAT(error_of(0, kOverlay), HasSubstr("cannot make a file system of 0 B"));
  EXPECT_EQ(error_of(kMebibyte, kOverlay),
            "cannot make a file system: it is too small for a journal");
  const base::UniqueFd fd = base::open_file(image(), O_RDWR);
  try {
    make_file_system(Partition(fd.get(), 0, kMaxFileSystemSize + 1, "image"), kOverlay);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_STREQ(error.what(),
                 "cannot make a file system of 16.0 TiB: at most 16.0 TiB are possible");
  }
}

TEST_F(MakeFileSystemTest, NamesThatCannotBe) {
  NewFileSystem wanted = kOverlay;
  wanted.folders.push_back(std::string(256, 'x'));
  EXPECT_THAT(error_of(64 * kMebibyte, wanted), HasSubstr("File name too long"));
  wanted.folders.back().resize(255);
  make(64 * kMebibyte, wanted);
  check();
}

// What the system refuses arrives as itself.
TEST_F(MakeFileSystemTest, AFileThatCannotBeWritten) {
  std::ofstream(image()).close();
  std::filesystem::resize_file(image(), 64 * kMebibyte);
  const base::UniqueFd fd = base::open_file(image(), O_RDONLY);
  try {
    make_file_system(Partition(fd.get(), 0, 64 * kMebibyte, "image"), kOverlay);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.errno_value(), EBADF) << error.what();
  }
}

}  // namespace
}  // namespace ext
