// SPDX-License-Identifier: Apache-2.0
#include "runtime/preload.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>

#include "base/syscalls.h"
#include "tests/unit/sif/made_image.h"

namespace runtime {
namespace {

using Kind = TraceEntry::Kind;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

base::UniqueFd open_process(pid_t process) {
  return base::UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
}

class PreloadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(tree_ / "root/dir");
    for (const char* name : {"root/dir/file", "outside"}) sif::write_text(tree_ / name, "text");
    std::filesystem::create_symlink("../../outside", tree_ / "root/dir/link");
    ASSERT_EQ(::mkfifo((tree_ / "root/dir/fifo").c_str(), 0600), 0);
    root_ = base::open_file(tree_ / "root", O_PATH | O_DIRECTORY);
    for (const char* folder : {"", "root", "root/dir"})
      ASSERT_GE(::inotify_add_watch(events_.get(), (tree_ / folder).c_str(), IN_OPEN), 0);
  }
  // Names opened in the tree by a replay of a read of dir/NAME.
  std::vector<std::string> opened(const std::string& name, int program) {
    replay({{Kind::read, kTraceRoot, 1, 0, ""},  // behind which the program's requests begin
            {Kind::lookup, kTraceRoot, 0, 0, "dir"},
            {Kind::list, 1, 0, 0, ""},
            {Kind::lookup, 1, 0, 0, name},
            {Kind::link, 3, 0, 0, ""},
            {Kind::read, 3, 4096, 0, ""}},
           root_.get(), program);
    std::vector<std::string> names;
    alignas(inotify_event) std::array<char, 8192> buffer;
    const ssize_t size = ::read(events_.get(), buffer.data(), buffer.size());
    for (ssize_t at = 0; at < size;) {
      inotify_event event;
      std::memcpy(&event, buffer.data() + at, sizeof event);
      names.emplace_back(event.len > 0 ? buffer.data() + at + sizeof event : "");
      at += static_cast<ssize_t>(sizeof event + event.len);
    }
    return names;
  }
  sif::TemporaryFolder tree_;
  base::UniqueFd root_;
  base::UniqueFd events_{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
  base::UniqueFd self_ = open_process(::getpid());
};

TEST_F(PreloadTest, OpensWhatTheTraceSays) {
  EXPECT_THAT(opened("file", self_.get()), Contains("file"));
  EXPECT_THAT(opened("absent", self_.get()), Contains("dir"));
  EXPECT_THAT(opened("fifo", self_.get()), Contains("fifo"));  // and does not wait for a writer
}

TEST_F(PreloadTest, FollowsNothing) {
  EXPECT_THAT(opened("link", self_.get()), Not(Contains("outside")));
  EXPECT_THAT(opened("../../outside", self_.get()), Not(Contains("outside")));
}

TEST_F(PreloadTest, EndsWithTheProgram) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  const base::UniqueFd ended = open_process(child);
  ::waitpid(child, nullptr, 0);
  EXPECT_THAT(opened("file", ended.get()), IsEmpty());
}

}  // namespace
}  // namespace runtime
