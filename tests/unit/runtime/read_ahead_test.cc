// SPDX-License-Identifier: Apache-2.0
#include "runtime/read_ahead.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "runtime/fuse_protocol.h"
#include "tests/unit/sif/made_image.h"

namespace runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int kFiles = 60;
constexpr int kFileBytes = 10'000;  // 13 in a block

std::string name(int i) { return base::cat("file", i / 10, i % 10); }
std::string text(int i) { return std::string(kFileBytes, static_cast<char>('A' + i)); }

// The device is a socket that keeps messages apart.
class ReadAheadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const unit::TemporaryFolder tree;
    for (int i = 0; i < kFiles; ++i) sif::write_text(tree / name(i), text(i));
    ASSERT_TRUE(sif::make_image(tree.path(), output_ / "i", "-comp gzip"));
    image_ = sif::open_made_image(output_ / "i");
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    device_.reset(ends[0]);
    kernel_.reset(ends[1]);
    const int room = 2 << 20;
    ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    read_ahead_.emplace(device_.get(), *image_, nullptr);
  }

  sif::InodeRef file(int i) { return image_->find_entry(image_->root(), name(i)).value(); }
  void ask(int from, int to, int step = 1) {
    for (int i = from; i != to; i += step) read_ahead_->follow(file(i));
  }

  // The files whose content was stored since the last call.
  std::vector<int> stored() {
    std::vector<int> files;
    std::vector<char> message(256 << 10);
    for (;;) {
      const ssize_t size = ::recv(kernel_.get(), message.data(), message.size(), MSG_DONTWAIT);
      if (size <= 0) return files;
      fuse_out_header header{};
      fuse_notify_store_out out{};
      std::memcpy(&header, message.data(), sizeof header);
      std::memcpy(&out, message.data() + sizeof header, sizeof out);
      const std::string data(message.data() + sizeof header + sizeof out, out.size);
      EXPECT_EQ(header.len, size);
      EXPECT_EQ(header.error, FUSE_NOTIFY_STORE);
      EXPECT_EQ(header.unique, 0U);
      EXPECT_EQ(out.offset, 0U);
      const int i = data.front() - 'A';
      EXPECT_EQ(data, text(i));
      EXPECT_EQ(out.nodeid, node_id_of(file(i)));
      files.push_back(i);
    }
  }

  unit::TemporaryFolder output_;
  sif::OpenImage image_;
  base::UniqueFd device_, kernel_;
  std::optional<ReadAhead> read_ahead_;
};

TEST_F(ReadAheadTest, StoresTheRestOfTheBlockInALongRun) {
  ask(0, 11);
  EXPECT_THAT(stored(), IsEmpty());
  ask(11, 12);
  EXPECT_THAT(stored(), ElementsAre(12));
  ask(13, 14);  // the next block, and the run knows it
  EXPECT_THAT(stored(), ElementsAre(14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25));
  ask(26, 27);  // one more block at a time
  EXPECT_EQ(stored().back(), 51);
}

TEST_F(ReadAheadTest, ShortRunsAreEnoughOnceAllFilesAreKnown) {
  ask(0, 12);
  stored();
  ask(40, 42);
  EXPECT_THAT(stored(), IsEmpty());
  ask(42, 43);
  EXPECT_THAT(stored(), ElementsAre(43, 44, 45, 46, 47, 48, 49, 50, 51));
}

TEST_F(ReadAheadTest, SeveralRunsAtOnce) {
  for (int i = 0; i < 12; ++i) {
    ask(i, i + 1);
    ask(26 + i, 27 + i);
  }
  EXPECT_THAT(stored(), ElementsAre(12, 38));
}

TEST_F(ReadAheadTest, NothingForOtherOrders) {
  ask(kFiles - 1, -1, -1);
  for (int i = 0; i < kFiles; ++i) ask(i * 7 % kFiles, i * 7 % kFiles + 1);
  EXPECT_THAT(stored(), IsEmpty());
}

TEST_F(ReadAheadTest, FilesThatTheKernelHasMayLieBetween) {
  ask(0, 6);
  ask(8, 14);
  EXPECT_THAT(stored(), ElementsAre(14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25));
}

TEST_F(ReadAheadTest, EndsWithWhatTheKernelDoesNotKnow) {
  const base::UniqueFd refusing = base::open_file("/dev/full", O_WRONLY);
  TraceRecorder recorder(FUSE_ROOT_ID);
  ReadAhead read_ahead(refusing.get(), *image_, &recorder);
  for (int i = 0; i < kFiles; ++i) {
    recorder.mention(FUSE_ROOT_ID, name(i), node_id_of(file(i)));
    read_ahead.follow(file(i));
  }
  EXPECT_THAT(recorder.finish(), IsEmpty());
}

TEST_F(ReadAheadTest, TellsTheRecorder) {
  TraceRecorder recorder(FUSE_ROOT_ID);
  ReadAhead read_ahead(device_.get(), *image_, &recorder);
  for (int i = 0; i < 12; ++i) read_ahead.follow(file(i));
  EXPECT_THAT(recorder.finish(), IsEmpty()) << "nothing is known of file 12";
  TraceRecorder second(FUSE_ROOT_ID);
  second.mention(FUSE_ROOT_ID, name(12), node_id_of(file(12)));
  ReadAhead again(device_.get(), *image_, &second);
  for (int i = 0; i < 12; ++i) again.follow(file(i));
  const AccessTrace trace = second.finish();
  ASSERT_EQ(trace.size(), 2U);
  EXPECT_EQ(trace[0].name, name(12));
  EXPECT_EQ(trace[1].kind, TraceEntry::Kind::read);
  EXPECT_EQ(trace[1].size, static_cast<std::uint32_t>(kFileBytes));
}

TEST_F(ReadAheadTest, GivesUpWhenTold) {
  read_ahead_->give_up();
  ask(0, kFiles);
  EXPECT_THAT(stored(), IsEmpty());
}

}  // namespace
}  // namespace runtime
