// SPDX-License-Identifier: Apache-2.0
#include "base/output_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/syscalls.h"
#include "tests/unit/fails_with.h"
#include "tests/unit/temporary_folder.h"

namespace base {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using unit::fails_with;

class AtomicOutputFileTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_ / name; }
  void make(const std::string& name, const std::string& text) const {
    write_all(open_file(path(name), O_WRONLY | O_CREAT, 0644).get(), text, name);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_.path()))
      found.push_back(entry.path().filename());
    return found;
  }
  std::string message(const std::string& name, Existing existing) const {
    try {
      AtomicOutputFile file(path(name), 0644, existing);
    } catch (const Error& problem) {
      return problem.what();
    }
    return "no error";
  }

  const unit::TemporaryFolder folder_;
};

TEST_F(AtomicOutputFileTest, AppearsOnlyWhenCommitted) {
  AtomicOutputFile file(path("x"), 0755, Existing::refuse);
  write_all(file.fd(), "text", "x");
  EXPECT_FALSE(fs::exists(path("x")));
  file.commit();
  EXPECT_EQ(read_small_file(path("x")), "text");
  EXPECT_THAT(names(), ElementsAre("x"));
}

TEST_F(AtomicOutputFileTest, LeavesNothingWithoutCommit) {
  { AtomicOutputFile file(path("x"), 0755, Existing::refuse); }
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(AtomicOutputFileTest, RefusesOrReplacesWhatExists) {
  make("x", "old");
  EXPECT_THAT(message("x", Existing::refuse), HasSubstr("it exists already"));
  AtomicOutputFile file(path("x"), 0755, Existing::replace);
  write_all(file.fd(), "new", "x");
  EXPECT_EQ(read_small_file(path("x")), "old");
  file.commit();
  EXPECT_EQ(read_small_file(path("x")), "new");
  EXPECT_THAT(names(), ElementsAre("x"));
}

TEST_F(AtomicOutputFileTest, RefusesWhatAppearedMeanwhile) {
  AtomicOutputFile file(path("x"), 0755, Existing::refuse);
  make("x", "other");
  EXPECT_THAT([&] { file.commit(); }, fails_with("x: it has been made meanwhile"));
  EXPECT_EQ(read_small_file(path("x")), "other");
}

TEST_F(AtomicOutputFileTest, RefusesFoldersAndDevices) {
  EXPECT_THAT(message("", Existing::replace), HasSubstr("it is a folder"));
  EXPECT_THAT(message("..", Existing::replace), HasSubstr("it is a folder"));
  EXPECT_THAT(message("no/x", Existing::replace), HasSubstr("No such file or directory"));
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_THAT(message("fifo", Existing::replace), HasSubstr("not a regular file"));
}

TEST_F(AtomicOutputFileTest, CommitAfterDiscardFails) {
  AtomicOutputFile file(path("x"), 0755, Existing::replace);
  file.discard();
  EXPECT_THAT([&] { file.commit(); }, fails_with("x: interrupted"));
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(AtomicOutputFileTest, UnnamedFilesHaveNoName) {
  const UniqueFd file = make_unnamed_file(folder_.path());
  write_all(file.get(), "text", "temporary");
  EXPECT_THAT(names(), IsEmpty());
}

}  // namespace
}  // namespace base
