// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <gtest/gtest.h>

namespace base {
namespace {

TEST(Printable, KeepsValidUtf8AndEscapesEverythingElse) {
  EXPECT_EQ(printable("caf\xc3\xa9"), "caf\xc3\xa9");
  EXPECT_EQ(printable("a\nb\tc"), "a\\nb\\tc");
  EXPECT_EQ(printable("\x1b[31m"), "\\x1b[31m");
  EXPECT_EQ(printable("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");           // C1 control sequence introducer
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // surrogate
}

TEST(Cat, PrintsAsStreamsDo) {
  const std::string text = "text";
  const std::uint16_t small = 65;
  EXPECT_EQ(cat("layer ", 3, " of ", std::uint64_t{1} << 63, ',', text, std::string_view(" and "),
                -7L, small),
            "layer 3 of 9223372036854775808,text and -765");
  EXPECT_EQ(cat(true, ' ', 1.5, ' ', static_cast<unsigned char>('x')), "1 1.5 x");
  EXPECT_EQ(cat(), "");
}

TEST(Split, KeepsEmptyFields) {
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_EQ(split("", ','), std::vector<std::string>{""});
}

TEST(Trimmed, KeepsBlanksInside) {
  EXPECT_EQ(trimmed(" \ta b\r"), "a b");
  EXPECT_EQ(trimmed(" \t "), "");
}

TEST(LowerCase, ChangesAsciiLettersOnly) { EXPECT_EQ(lower_case("ABZ-\xc3\x89"), "abz-\xc3\x89"); }

TEST(Padded, NeverCuts) {
  EXPECT_EQ(padded("ab", 4), "ab  ");
  EXPECT_EQ(padded("abcde", 4), "abcde");
}

TEST(IsNestedDeeper, CountsBracketsOutsideOfStrings) {
  EXPECT_FALSE(is_nested_deeper(R"({"a": [1, {"b": 2}], "c": []})", 3));
  EXPECT_TRUE(is_nested_deeper(R"({"a": [1, {"b": 2}], "c": []})", 2));
  EXPECT_FALSE(is_nested_deeper(R"(["[[[\"[[[\\", "]", 1])", 1));
  EXPECT_TRUE(is_nested_deeper(std::string(100, '['), 99));
}

TEST(HumanSize, PicksTheUnit) {
  EXPECT_EQ(human_size(0), "0 B");
  EXPECT_EQ(human_size(1536), "1.5 KiB");
}

}  // namespace
}  // namespace base
