// SPDX-License-Identifier: Apache-2.0
#include "base/phase_times.h"

#include <gtest/gtest.h>

namespace base {
namespace {

TEST(PhaseTimes, RecordsNothingUnlessWanted) {
  PhaseTimes times;
  times.end_phase("one");
  EXPECT_FALSE(times.wanted());
  EXPECT_EQ(times.report().find("one"), std::string::npos);
}

TEST(PhaseTimes, PrintsPhasesInOrderAndTheirSum) {
  PhaseTimes times(true);
  times.end_phase("one");
  times.end_phase("two");
  const std::string report = times.report();
  EXPECT_LT(report.find("  one\n"), report.find("  two\n"));
  EXPECT_LT(report.find("  two\n"), report.find("until the program starts\n"));
}

}  // namespace
}  // namespace base
