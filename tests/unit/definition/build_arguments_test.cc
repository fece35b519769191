// SPDX-License-Identifier: Apache-2.0
#include "definition/build_arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/unit/fails_with.h"

namespace definition {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using unit::fails_with;
using Used = std::set<std::string, std::less<>>;

TEST(BuildArguments, Lines) {
  BuildArguments arguments;
  add_argument_lines("# no\n\n A = 1 2 \r\nB=\"x=y\"\nA=3\nC=", arguments);
  EXPECT_THAT(arguments, ElementsAre(Pair("A", "3"), Pair("B", "\"x=y\""), Pair("C", "")));
  EXPECT_THAT([&] { add_argument("nothing", arguments); },
              fails_with("build argument nothing: expected NAME=VALUE"));
}

TEST(BuildArguments, GivenValuesGoBeforeDefaults) {
  Used used;
  EXPECT_EQ(substitute("Bootstrap: docker\nFrom: {{A}}\n%arguments\nA=a\nB=b\n%post\n{{ A }}{{B}} "
                       "{{ not one }} {{x.y}} { {A}}\n",
                       {{"A", "given"}, {"C", "unused"}}, used),
            "Bootstrap: docker\nFrom: given\n%arguments\nA=a\nB=b\n%post\ngivenb {{ not one }} "
            "{{x.y}} { {A}}\n");
  EXPECT_THAT(used, ElementsAre("A"));
}

TEST(BuildArguments, DefaultsAreAStages) {
  Used used;
  const std::string stages =
      "Bootstrap: docker\n%Arguments x\nA=1\n%post\n{{A}}\nbootstrap: docker\n%post\n{{A}}";
  EXPECT_THAT([&] { substitute(stages, {}, used); }, fails_with("build var A is not defined"));
  EXPECT_THAT(substitute(stages, {{"A", "2"}}, used), HasSubstr("%post\n2\nbootstrap"));
}

TEST(BuildArguments, DefaultsMayHaveOthers) {
  Used used;
  const std::string stage = "Bootstrap: x\n%arguments\nV=1\nW={{ V }}.2\nno value\n%post\n{{ W }}";
  EXPECT_THAT(substitute(stage, {}, used), HasSubstr("%post\n1.2"));
  EXPECT_THAT(substitute(stage, {{"V", "5"}}, used), HasSubstr("%post\n5.2"));
  EXPECT_THAT(used, ElementsAre("V"));
  const std::string circle = "Bootstrap: x\n%arguments\nA={{B}}\nB={{A}}\n%post\n{{A}}";
  EXPECT_THAT([&] { substitute(circle, {}, used); },
              fails_with("stands for itself, by way of others"));
}

TEST(BuildArguments, ValuesOfValuesHaveALimit) {
  Used used;
  std::string stage = "Bootstrap: x\n%arguments\nA0=text\n";
  for (int i = 1; i < 15; ++i) {
    stage += base::cat("A", i, "=");
    for (int n = 0; n < 12; ++n) stage += base::cat("{{A", i - 1, "}}");
    stage += "\n";
  }
  EXPECT_THAT([&] { substitute(stage + "%post\n{{A14}}\n", {}, used); },
              fails_with("more than 16777216 bytes"));
}

TEST(BuildArguments, NamesInCommentsNeedNoValue) {
  Used used;
  for (const char* text : {"# {{ X }}", "Bootstrap: x\n%post\necho # {{ X }}\n #{{Y}} {{Z}}\n"})
    EXPECT_EQ(substitute(text, {}, used), text);
  EXPECT_THAT([&] { substitute("# x\n{{ X }}", {}, used); },
              fails_with("build var X is not defined"));
}

TEST(BuildArguments, TextWithoutAnyStaysAsItIs) {
  Used used;
  for (const char* text : {"", "\n", "a", "a\n\n", "{{", "{{ }}", "}} {{", "{{A"})
    EXPECT_EQ(substitute(text, {}, used), text);
}

}  // namespace
}  // namespace definition
