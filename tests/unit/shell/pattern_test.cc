// SPDX-License-Identifier: Apache-2.0
#include "shell/pattern.h"

#include <gtest/gtest.h>

namespace shell {
namespace {

TEST(Pattern, Matches) {
  struct Case {
    const char* pattern;
    const char* text;
    bool matches;
  };
  for (const Case& c : std::vector<Case>{{"", "", true},
                                         {"a", "a", true},
                                         {"*", "", true},
                                         {"a*c", "abbc", true},
                                         {"a*c", "abb", false},
                                         {"?", "", false},
                                         {"a?c", "abc", true},
                                         {"\\*", "*", true},
                                         {"\\*", "x", false},
                                         {"[abc]", "b", true},
                                         {"[!abc]", "b", false},
                                         {"[^abc]", "d", true},
                                         {"[a-c]", "b", true},
                                         {"[]]", "]", true},
                                         {"[a", "[a", true},
                                         {"[[:digit:]]x", "5x", true},
                                         {"[\\]]", "]", true},
                                         {"a\\", "a\\", true}})
    EXPECT_EQ(Pattern(c.pattern).matches(c.text), c.matches) << c.pattern << " " << c.text;
}

TEST(Pattern, PrefixAndSuffix) {
  EXPECT_EQ(Pattern("*/").prefix("a/b/c", false), 2u);
  EXPECT_EQ(Pattern("*/").prefix("a/b/c", true), 4u);
  EXPECT_EQ(Pattern(".*").suffix("a.b.c", false), 2u);
  EXPECT_EQ(Pattern(".*").suffix("a.b.c", true), 4u);
  EXPECT_EQ(Pattern("x").prefix("abc", true), std::nullopt);
  EXPECT_EQ(Pattern("*").suffix("abc", false), 0u);
}

}  // namespace
}  // namespace shell
