// SPDX-License-Identifier: Apache-2.0
#include "base/syscalls.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "tests/unit/fails_with.h"

namespace base {
namespace {

using testing::HasSubstr;
using unit::fails_with;

UniqueFd temporary_file() { return open_file(testing::TempDir(), O_TMPFILE | O_RDWR, 0600); }

TEST(OpenFile, TellsObjectAndCause) {
  try {
    open_file("/nonexistent/fi\nle", O_RDONLY);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "cannot open /nonexistent/fi\\nle: No such file or directory");
    EXPECT_EQ(error.errno_value(), ENOENT);
  }
}

TEST(FindFile, AbsenceIsNoError) {
  EXPECT_FALSE(find_file("/nonexistent", O_RDONLY).has_value());
  EXPECT_FALSE(find_file("/dev/null/below-a-file", O_RDONLY).has_value());
  EXPECT_TRUE(find_file("/dev/null", O_RDONLY).has_value());
  EXPECT_FALSE(find_status("/nonexistent").has_value());
  EXPECT_FALSE(find_small_file("/nonexistent").has_value());
  EXPECT_FALSE(find_link_target("/dev/null").has_value());
}

// As if it had ended between the opening and the reading.
TEST(FindSmallFile, OfAProcessThatHasEndedIsAbsent) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  const UniqueFd opened = open_file(cat("/proc/", child, "/stat"), O_RDONLY);
  const std::string path = cat("/proc/self/fd/", opened.get());
  EXPECT_TRUE(find_small_file(path).has_value());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(find_small_file(path).has_value());
}

TEST(PreadExactly, SaysWhereATruncatedFileEnds) {
  const UniqueFd fd = temporary_file();
  write_all(fd.get(), "12345", "numbers");
  std::array<std::byte, 4> out{};
  pread_exactly(fd.get(), out, 1, "numbers");
  EXPECT_EQ(std::to_integer<char>(out[0]), '2');
  try {
    pread_exactly(fd.get(), out, 3, "numbers");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "numbers is truncated: it ends at offset 5, but 4 bytes are expected at offset 3");
  }
}

TEST(ReadSmallFile, RefusesWhatIsLargerThanTheLimit) {
  EXPECT_THAT([] { read_small_file("/dev/zero", 1000); },
              fails_with("cannot read /dev/zero: larger than 1000 bytes"));
  EXPECT_EQ(read_small_file("/dev/null"), "");
}

TEST(WriteAll, ReportsAFullDevice) {
  const UniqueFd full = open_file("/dev/full", O_WRONLY);
  try {
    write_all(full.get(), "x", "/dev/full");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.errno_value(), ENOSPC);
    EXPECT_THAT(error.what(), HasSubstr("cannot write /dev/full: No space left on device"));
  }
}

TEST(UniqueFd, ClosesOnceAndMoves) {
  UniqueFd first = temporary_file();
  const int number = first.get();
  UniqueFd second = std::move(first);
  EXPECT_EQ(second.get(), number);
  EXPECT_NE(::fcntl(number, F_GETFD), -1);
  second.reset();
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

}  // namespace
}  // namespace base
