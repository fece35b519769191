// SPDX-License-Identifier: Apache-2.0
#include "cmd/progress_display.h"

#include <gtest/gtest.h>

namespace cmd {
namespace {

ProgressSample sample(std::uint64_t done, std::uint64_t total, double seconds) {
  return {"Compressing", done, total, seconds};
}

TEST(ProgressBar, FitsTheTerminal) {
  const ProgressSample half = sample(50 << 20, 100 << 20, 10);
  EXPECT_EQ(progress_bar(half, 65),
            "Compressing [===========>           ]  50%  5.0 MiB/s  0:10 left");
  for (unsigned width = 1; width < 200; ++width)
    EXPECT_LE(progress_bar(half, width).size(), width) << width;
}

TEST(ProgressBar, BoundsTheShare) {
  EXPECT_EQ(progress_bar(sample(300, 200, 1), 52),
            "Compressing [=======================] 100%  300 B/s");
}

TEST(ProgressBar, KnowsNoShareOfAStream) {
  EXPECT_EQ(progress_bar(sample(3 << 20, 0, 1), 80), "Compressing 3.0 MiB  3.0 MiB/s");
}

TEST(ProgressLine, TellsTheSame) {
  EXPECT_EQ(progress_line(sample(1 << 20, 3601ULL << 20, 1)),
            "Compressing: 0% of 3.5 GiB, 1.0 MiB/s, 1:00:00 left");
  EXPECT_EQ(progress_line(sample(1 << 20, 0, 0)), "Compressing: 1.0 MiB, 0 B/s");
}

}  // namespace
}  // namespace cmd
