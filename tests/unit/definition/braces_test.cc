// SPDX-License-Identifier: Apache-2.0
#include "definition/braces.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace definition {
namespace {

using ::testing::ElementsAre;

TEST(Braces, AreExpandedAsByBash) {
  EXPECT_THAT(expand_braces("a{b,c}d"), ElementsAre("abd", "acd"));
  EXPECT_THAT(expand_braces("{a,b{1,2},}x"), ElementsAre("ax", "b1x", "b2x", "x"));
  EXPECT_THAT(expand_braces("{a,b}{c,d}"), ElementsAre("ac", "ad", "bc", "bd"));
  EXPECT_THAT(expand_braces("f{1..3}.txt"), ElementsAre("f1.txt", "f2.txt", "f3.txt"));
  EXPECT_THAT(expand_braces("{2..-1}"), ElementsAre("2", "1", "0", "-1"));
  for (const char* text : {"", "a", "{}", "{a}", "a{", "{a,b", "}", "{a..}", "{1..2x}", "{1...2}"})
    EXPECT_THAT(expand_braces(text), ElementsAre(text));
}

TEST(Braces, AreBounded) {
  EXPECT_THROW(expand_braces("{1..9999}{1..9999}"), base::Error);
  EXPECT_THAT(expand_braces("{1..999999999}"), ElementsAre("{1..999999999}"));
}

}  // namespace
}  // namespace definition
