// SPDX-License-Identifier: Apache-2.0
#include "runtime/trace_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/error.h"
#include "base/syscalls.h"
#include "tests/unit/fails_with.h"
#include "tests/unit/sif/made_image.h"

namespace runtime {
namespace {

using unit::fails_with;

using Command = std::vector<std::string>;

class TraceFileTest : public ::testing::Test {
 protected:
  std::string path(const Command& command, std::uint64_t offset = 0) {
    sif::ImageFile image;
    image.path = "/proc/self/exe";
    image.fd = base::open_file(image.path, O_RDONLY);
    image.offset = offset;
    return trace_path(folder_ / "cache", image, command);
  }
  unit::TemporaryFolder folder_;
  const AccessTrace trace_{{TraceEntry::Kind::lookup, kTraceRoot, 0, 0, "usr"}};
};

TEST_F(TraceFileTest, IsOneForEachImageAndProgram) {
  const std::string python = path({"python", "-u", "train.py", "--rate", "0.1"});
  EXPECT_EQ(python, path({"python", "-u", "train.py", "--rate", "0.2"}));
  EXPECT_NE(python, path({"python", "-u", "test.py"}));
  EXPECT_NE(python, path({"python", "train.py"}));
  EXPECT_NE(python, path({"python", "-u", "train.py"}, 4096));
  EXPECT_NE(path({"ab"}), path({"a", "b"}));
}

TEST_F(TraceFileTest, IsKeptForTheNextStart) {
  EXPECT_FALSE(find_trace(path({"true"})));
  keep_trace(path({"true"}), {});
  keep_trace(path({"true"}), trace_);
  EXPECT_EQ(find_trace(path({"true"})), trace_);
  EXPECT_EQ(base::find_status(path({"true"})).value().st_mode & 0777, 0600U);
}

TEST_F(TraceFileTest, ForgedContentIsNoTrace) {
  keep_trace(path({"true"}), trace_);
  sif::write_text(path({"true"}), "nonsense");
  EXPECT_FALSE(find_trace(path({"true"})));
}

TEST_F(TraceFileTest, OthersMayNotWriteThere) {
  std::filesystem::create_directories(folder_ / "cache/traces");
  ASSERT_EQ(::chmod((folder_ / "cache/traces").c_str(), 0777), 0);
  EXPECT_THAT([&] { keep_trace(path({"true"}), trace_); },
              fails_with("traces belongs to or is writable for other users"));
}

TEST_F(TraceFileTest, TheOldestMakeRoom) {
  constexpr int kMany = 600;
  for (int i = 0; i < kMany; ++i) {
    std::filesystem::create_directories(folder_ / "cache/traces");
    sif::write_text(folder_ / ("cache/traces/" + std::to_string(i)), "old");
  }
  keep_trace(path({"true"}), trace_);
  const auto left =
      std::distance(std::filesystem::directory_iterator(folder_ / "cache/traces"), {});
  EXPECT_LT(left, 400);
  EXPECT_TRUE(find_trace(path({"true"})));
}

}  // namespace
}  // namespace runtime
