// SPDX-License-Identifier: Apache-2.0
// What a hostile image can do with symbolic links, and what must come of it.
#include "runtime/path_in_root.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/syscalls.h"
#include "tests/unit/fails_with.h"
#include "tests/unit/temporary_folder.h"

namespace runtime {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using unit::fails_with;

class PathInRootTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(root_path_ / "etc/deep");
    std::filesystem::create_directories(root_path_ / "real/dir");
    link("up", "../../../../../../etc");
    link("absolute", "/real/dir");
    link("loop", "loop2");
    link("loop2", "loop");
    link("dangling", "/mnt/nfs/../data");
    link("real/dir/self", ".");
    ::close(::open((root_path_ / "file").c_str(), O_CREAT | O_WRONLY, 0644));
    root_ = base::open_file(root_path_.string(), O_PATH | O_DIRECTORY);
  }
  void link(const std::string& name, const std::string& target) {
    std::filesystem::create_symlink(target, root_path_ / name);
  }
  bool is(int fd, const std::string& name) const {
    struct stat a {
    }, b{};
    return ::fstat(fd, &a) == 0 && ::stat((root_path_ / name).c_str(), &b) == 0 &&
           a.st_ino == b.st_ino && a.st_dev == b.st_dev;
  }

  const unit::TemporaryFolder folder_;
  const std::filesystem::path root_path_ = folder_.path();
  base::UniqueFd root_;
};

TEST_F(PathInRootTest, LinksStayInside) {
  for (const char* path : {"/up/deep", "up/deep", "/up/../../../etc/deep"}) {
    const PathInRoot walked = walk_in_root(root_.get(), path);
    EXPECT_THAT(walked.missing, IsEmpty()) << path;
    EXPECT_EQ(walked.canonical, "/etc/deep") << path;
    EXPECT_TRUE(is(walked.deepest.get(), "etc/deep")) << path;
    const auto found = find_in_root(root_.get(), path);
    ASSERT_TRUE(found) << path;
    EXPECT_TRUE(is(found->get(), "etc/deep")) << path;
  }
  EXPECT_EQ(walk_in_root(root_.get(), "/absolute/self/self").canonical, "/real/dir");
  EXPECT_EQ(walk_in_root(root_.get(), "/..").canonical, "/");
}

TEST_F(PathInRootTest, MissingPartsFollowDanglingLinks) {
  const PathInRoot walked = walk_in_root(root_.get(), "/dangling/x");
  EXPECT_EQ(walked.canonical, "/");
  EXPECT_THAT(walked.missing, ElementsAre("mnt", "data", "x"));
  EXPECT_FALSE(find_in_root(root_.get(), "/dangling/x"));
  EXPECT_THAT(walk_in_root(root_.get(), "/absolute/new/dir").missing, ElementsAre("new", "dir"));
  EXPECT_EQ(walk_in_root(root_.get(), "/nothing/../etc").canonical, "/etc");
}

TEST_F(PathInRootTest, LoopsAndFilesOnTheWayAreErrors) {
  const int root = root_.get();
  EXPECT_THAT(
      [&] { walk_in_root(root, "/loop/x"); },
      fails_with("cannot resolve /loop/x in the container: Too many levels of symbolic links"));
  EXPECT_THAT(
      [&] { find_in_root(root, "/loop"); },
      fails_with("cannot resolve /loop in the container: Too many levels of symbolic links"));
  EXPECT_THAT([&] { walk_in_root(root, "/file/x"); },
              fails_with("cannot resolve /file/x in the container: Not a directory"));
}

}  // namespace
}  // namespace runtime
