// SPDX-License-Identifier: Apache-2.0
#include "runtime/preload.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <span>
#include <utility>

#include "base/syscalls.h"
#include "runtime/fd_message.h"
#include "runtime/fuse_protocol.h"
#include "runtime/pidfd.h"
#include "tests/unit/sif/made_image.h"

namespace runtime {
namespace {

using Kind = TraceEntry::Kind;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

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
           root_.get(), program, -1);
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
  unit::TemporaryFolder tree_;
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

TEST_F(PreloadTest, LaterReadsAreLeftToOthers) {
  AccessTrace trace = {{Kind::lookup, kTraceRoot, 0, 0, "dir"},
                       {Kind::lookup, 0, 0, 0, "file"},
                       {Kind::lookup, 0, 0, 0, "absent"}};
  for (std::uint32_t i = 0; i < kRequestedReads; ++i) trace.push_back({Kind::read, 1, 1, i, ""});
  const auto later = static_cast<std::uint32_t>(trace.size());
  for (const std::uint32_t file : {1U, kTraceRoot, 2U, 1U})
    trace.push_back({Kind::read, file, 1, 0, ""});
  base::Pipe pipe = base::make_pipe();
  replay(trace, root_.get(), self_.get(), pipe.write_end.get());
  pipe.write_end.reset();
  std::array<std::uint32_t, 8> numbers;
  ASSERT_EQ(::read(pipe.read_end.get(), numbers.data(), sizeof numbers), 8);
  EXPECT_EQ(numbers[0], later);
  EXPECT_EQ(numbers[1], later + 3);
}

// The device is a socket that keeps messages apart.
class PreloadedDataTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const unit::TemporaryFolder tree;
    sif::write_text(tree / "file", "some text");
    ASSERT_TRUE(sif::make_image(tree.path(), output_ / "i", "-comp gzip"));
    image_ = sif::open_made_image(output_ / "i");
    id_ = node_id_of(image_->find_entry(image_->root(), "file").value());
    trace_ = {{Kind::lookup, kTraceRoot, 0, 0, "file", id_},
              {Kind::read, 0, 4096, 0, ""},
              {Kind::read, 0, 4, 5, ""},
              {Kind::lookup, kTraceRoot, 0, 0, "of another image", 0},
              {Kind::read, 3, 4096, 0, ""},
              {Kind::lookup, kTraceRoot, 0, 0, "of another image", ~std::uint64_t{0}},
              {Kind::read, 5, 4096, 0, ""}};
  }
  void store(const std::vector<std::uint32_t>& numbers, int device, TraceRecorder* recorder) {
    base::Pipe pipe = base::make_pipe();
    base::write_all(pipe.write_end.get(), std::as_bytes(std::span(numbers)), "pipe");
    pipe.write_end.reset();
    const PreloadedData data(trace_, std::move(pipe.read_end), device, *image_, recorder);
  }
  unit::TemporaryFolder output_;
  sif::OpenImage image_;
  std::uint64_t id_ = 0;
  AccessTrace trace_;
};

TEST_F(PreloadedDataTest, StoresWhatIsKnown) {
  SocketPair device = make_socket_pair();
  TraceRecorder recorder(FUSE_ROOT_ID);
  recorder.lookup(FUSE_ROOT_ID, "file", id_);
  store({1, 2}, device.first.get(), &recorder);
  for (const std::string text : {"some text", "text"}) {
    const auto message = receive_message(device.second.get(), 4096);
    ASSERT_TRUE(message);
    EXPECT_THAT(message->text, ::testing::EndsWith(text));
  }
  EXPECT_EQ(recorder.finish().size(), 3U);
}

TEST_F(PreloadedDataTest, OtherImagesAndFilesThatAreNotWantedDoNoHarm) {
  SocketPair device = make_socket_pair();
  store({4, 6, 1}, device.first.get(), nullptr);
  device.first.reset();
  const auto message = receive_message(device.second.get(), 4096);
  EXPECT_FALSE(message) << "position ~0 is corrupt: nothing more is stored";
  const base::UniqueFd refusing = base::open_file("/dev/full", O_WRONLY);
  store({1, 2}, refusing.get(), nullptr);
}

}  // namespace
}  // namespace runtime
