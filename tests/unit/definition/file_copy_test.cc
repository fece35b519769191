// SPDX-License-Identifier: Apache-2.0
#include "definition/file_copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/error.h"
#include "tests/unit/temporary_folder.h"

namespace definition {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// A folder with a source tree, a stage and an image to copy into.
class FileCopyTest : public ::testing::Test {
 protected:
  FileCopyTest() {
    for (const char* folder : {"source/deep/er", "stage/data", "image/etc"})
      fs::create_directories(path(folder));
    write("source/deep/er/file", "deep");
    write("source/one.txt", "one");
    write("source/two.txt", "two");
    fs::create_symlink("one.txt", path("source/link"));
    fs::create_symlink("/data", path("stage/absolute"));
    fs::create_symlink(place_ / "source", path("stage/outside"));
    write("stage/data/in", "of the stage");
  }

  std::string path(const std::string& name) const { return place_ / name; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(path("image/" + name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void copy(const std::string& source, const std::string& destination,
            const RootFolder* stage = nullptr) const {
    RootFolder image(path("image"));
    const std::vector<FileCopy> copies = {{stage == nullptr ? path(source) : source, destination}};
    copy_files({copies, stage}, image, [] {});
  }
  std::string failure(const std::string& source, const std::string& destination,
                      const RootFolder* stage = nullptr) const {
    try {
      copy(source, destination, stage);
    } catch (const base::Error& error) {
      return error.what();
    }
    return "";
  }

  const unit::TemporaryFolder place_;
};

TEST_F(FileCopyTest, NamesOfWhatIsCopied) {
  copy("source/one.txt", "/a/b/c");
  EXPECT_EQ(read("a/b/c"), "one");
  copy("source/one.txt", "/a/b");
  EXPECT_EQ(read("a/b/one.txt"), "one");
  copy("source/one.txt", "/new/");
  EXPECT_EQ(read("new/one.txt"), "one");
  copy("source/deep", "/copied");
  EXPECT_EQ(read("copied/er/file"), "deep");
  copy("source/deep/", "/copied");
  EXPECT_EQ(read("copied/deep/er/file"), "deep");
  copy("source/deep/.", "/copied");
  EXPECT_EQ(read("copied/er/file"), "deep");
  copy("source/deep", "/");
  EXPECT_EQ(read("deep/er/file"), "deep");
  copy("source/one.txt", "relative/../../up");
  EXPECT_EQ(read("up"), "one");
  copy("source/two.txt", "/up");
  EXPECT_EQ(read("up"), "two");
}

TEST_F(FileCopyTest, Patterns) {
  copy("source/*.txt", "/all/");
  EXPECT_EQ(read("all/one.txt") + read("all/two.txt"), "onetwo");
  copy("source/{one,tw[o-p]}.txt", "/braces/");
  EXPECT_EQ(read("braces/one.txt") + read("braces/two.txt"), "onetwo");
  copy("source/*/er/f*", "/last");
  EXPECT_EQ(read("last"), "deep");
  EXPECT_THAT(failure("source/none*", "/x"), HasSubstr("No such file or directory"));
  EXPECT_THAT(failure("source/one.txt/*", "/x"), HasSubstr("No such file or directory"));
  EXPECT_THAT(failure("source/{a,b}", "/x"), HasSubstr("source/a: No such file or directory"));
}

TEST_F(FileCopyTest, LinksOfTheHostAreFollowed) {
  copy("source", "/copied");
  EXPECT_FALSE(fs::is_symlink(path("image/copied/link")));
  EXPECT_EQ(read("copied/link"), "one");
  fs::create_symlink(".", path("source/loop"));
  EXPECT_THAT(failure("source", "/again"), HasSubstr("Too many levels of symbolic links"));
}

TEST_F(FileCopyTest, AStagesLinksStayInIt) {
  const RootFolder stage(path("stage"));
  copy("/absolute/in", "/a", &stage);
  EXPECT_EQ(read("a"), "of the stage");
  copy("/", "/all", &stage);
  EXPECT_EQ(fs::read_symlink(path("image/all/absolute")), "/data");
  EXPECT_THAT(failure("/outside/one.txt", "/x", &stage), HasSubstr("No such file or directory"));
  EXPECT_THAT(failure("/outside/*", "/x", &stage), HasSubstr("No such file or directory"));
  EXPECT_THAT(failure("/../../source/one.txt", "/x", &stage), HasSubstr("No such file"));
}

TEST_F(FileCopyTest, TheImagesLinksStayInIt) {
  fs::create_directory(path("outside"));
  fs::create_symlink(path("outside"), path("image/opt"));
  fs::create_symlink(path("outside/file"), path("image/etc/file"));
  copy("source/one.txt", "/opt/");
  copy("source/one.txt", "/etc/file");
  EXPECT_TRUE(fs::is_empty(path("outside")));
  EXPECT_EQ(read(path("outside").substr(1) + "/one.txt"), "one");
  EXPECT_EQ(read(path("outside").substr(1) + "/file"), "one");
}

TEST_F(FileCopyTest, ModesOfTheHostAreReduced) {
  const mode_t before = ::umask(0002);
  ::chmod(path("source/one.txt").c_str(), 06777);
  ::chmod(path("source/two.txt").c_str(), 0666);
  ::chmod(path("source/deep").c_str(), 01777);
  copy("source", "/copied");
  ::umask(before);
  EXPECT_EQ(fs::status(path("image/copied/one.txt")).permissions(), fs::perms(0775));
  EXPECT_EQ(fs::status(path("image/copied/two.txt")).permissions(), fs::perms(0664));
  EXPECT_EQ(fs::status(path("image/copied/deep")).permissions(), fs::perms(01775));
}

TEST_F(FileCopyTest, WhatAStageMadeStaysAsItIs) {
  ::chmod(path("stage/data/in").c_str(), 04777);
  ::chmod(path("stage/data").c_str(), 03777);
  fs::create_hard_link(path("stage/data/in"), path("stage/data/name"));
  fs::create_hard_link(path("stage/data/in"), path("stage/zz"));
  const RootFolder stage(path("stage"));
  copy("/", "/all", &stage);
  EXPECT_EQ(fs::status(path("image/all/data/in")).permissions(), fs::perms(04777));
  EXPECT_EQ(fs::status(path("image/all/data")).permissions(), fs::perms(03777));
  EXPECT_TRUE(fs::equivalent(path("image/all/data/in"), path("image/all/data/name")));
  EXPECT_EQ(fs::hard_link_count(path("image/all/zz")), 3U);
}

TEST_F(FileCopyTest, HolesStayHoles) {
  fs::resize_file(path("source/two.txt"), 100 << 20);
  write("source/empty", "");
  copy("source/two.txt", "/big");
  copy("source/empty", "/empty");
  copy("../../../../../../../../../../proc/self/status", "/status");
  struct stat status {};
  EXPECT_EQ(::stat(path("image/big").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 100 << 20);
  EXPECT_LT(status.st_blocks, 2048);
  EXPECT_EQ(read("big").substr(0, 4), std::string("two\0", 4));
  EXPECT_TRUE(fs::exists(path("image/empty")));
  EXPECT_THAT(read("status"), HasSubstr("Name:"));
}

TEST_F(FileCopyTest, WhatCannotBe) {
  EXPECT_EQ(::mkfifo(path("source/fifo").c_str(), 0600), 0);
  copy("source/fifo", "/fifo");
  EXPECT_TRUE(fs::is_fifo(path("image/fifo")));
  EXPECT_THAT(failure("../../../../../../../../../../dev/null", "/x"),
              HasSubstr("neither a file nor a folder nor a link"));
  EXPECT_THAT(failure("image", "/x"), HasSubstr("cannot be copied into itself"));
  fs::create_directories(path("image/taken/one.txt"));
  EXPECT_THAT(failure("source/one.txt", "/taken"), HasSubstr("Is a directory"));
  write("image/file", "");
  EXPECT_THAT(failure("source/deep", "/file"), HasSubstr("cannot become a folder"));
  EXPECT_THAT(failure("source/one.txt", "/file/x"), HasSubstr("Not a directory"));
}

}  // namespace
}  // namespace definition
