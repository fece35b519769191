// SPDX-License-Identifier: Apache-2.0
#include "shell/brace_expansion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "shell/interpreter.h"

namespace shell {
namespace {

using ::testing::ElementsAre;

std::string repeated(std::string_view text, std::size_t count) {
  std::string result;
  while (count-- > 0) result += text;
  return result;
}

std::string failure_of(const std::string& text) {
  try {
    expand_braces(text);
  } catch (const base::Error& error) {
    return error.what();
  }
  return "";
}

TEST(BraceExpansion, IsThatOfBash) {
  EXPECT_THAT(expand_braces("{a,b{1,2},}x"), ElementsAre("ax", "b1x", "b2x", "x"));
  EXPECT_THAT(expand_braces("{a,b}{c,d}"), ElementsAre("ac", "ad", "bc", "bd"));
  EXPECT_THAT(expand_braces("{x{a,b}y}"), ElementsAre("{xay}", "{xby}"));
  EXPECT_THAT(expand_braces("{a{b,c}"), ElementsAre("{ab", "{ac"));
  EXPECT_THAT(expand_braces("}{b,c}}"), ElementsAre("}b}", "}c}"));
  EXPECT_THAT(expand_braces("{a}{1..2}{"), ElementsAre("{a}1{", "{a}2{"));
  EXPECT_THAT(expand_braces("{2..-1}"), ElementsAre("2", "1", "0", "-1"));
  EXPECT_THAT(expand_braces("{08..10}"), ElementsAre("08", "09", "10"));
  EXPECT_THAT(expand_braces("{-1..01}"), ElementsAre("-1", "00", "01"));
  EXPECT_THAT(expand_braces("{1..9..4}"), ElementsAre("1", "5", "9"));
  EXPECT_THAT(expand_braces("{c..a}\xFF"), ElementsAre("c\xFF", "b\xFF", "a\xFF"));
  for (const char* text : {"", "a", "{}", "{a}", "a{", "{a,b", "}", "{a..}", "{1..2x}", "{1...2}"})
    EXPECT_THAT(expand_braces(text), ElementsAre(text));
}

// Each of these took minutes, gigabytes or the stack.
TEST(BraceExpansion, LongWordsHaveNoQuadraticCost) {
  const std::string unclosed = repeated("{", 1 << 20), closed = repeated("}", 1 << 19);
  EXPECT_THAT(expand_braces(unclosed), ElementsAre(unclosed));
  EXPECT_THAT(expand_braces(repeated("{", 1 << 19) + closed),
              ElementsAre(repeated("{", 1 << 19) + closed));
  EXPECT_THAT(expand_braces(repeated("{1..1}", 100'000)), ElementsAre(repeated("1", 100'000)));
  EXPECT_EQ(expand_braces("{1..100000}").size(), kMaxBraceWords);
}

TEST(BraceExpansion, IsBounded) {
  for (const char* text : {"{1..9999}{1..9999}", "{1..100001}", "{1..999999999}"})
    EXPECT_EQ(failure_of(text), base::cat("the braces in \"", text, "\" stand for too many words"));
  const auto why = [](const std::string& text) {
    const std::string message = failure_of(text);
    return message.substr(std::min(message.size(), message.rfind('"') + 2));
  };
  EXPECT_EQ(why(repeated("{,", 5000) + repeated("}", 5000)), "are nested too deeply");
  EXPECT_EQ(why(repeated("{1..1}", 100'001)), "are too many");
  EXPECT_EQ(why(repeated("{,}", 17)), "stand for too many words");
  EXPECT_EQ(why("{1..1000}" + repeated("x", 5000)), "stand for too many words");
  EXPECT_EQ(why("{" + repeated("0", 9999) + "1..999}"), "stand for too many words");
  EXPECT_EQ(why(repeated("{", (1 << 20) + 1)), "stand in too long a word");
}

TEST(BraceExpansion, BoundsWhatTheWordsBecome) {
  Options options;
  options.max_value_bytes = 1 << 16;
  try {
    Interpreter(options).run_text("printf -v x %9999s; : {1..100000}\"$x\"", "script");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_STREQ(error.what(), "script: line 1: the words of a brace expansion grow too large");
  }
}

}  // namespace
}  // namespace shell
