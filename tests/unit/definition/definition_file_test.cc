// SPDX-License-Identifier: Apache-2.0
#include "definition/definition_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"

namespace definition {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::string message_of(std::string_view text) {
  try {
    parse_definition(text, "x.def");
  } catch (const base::Error& error) {
    return error.what();
  }
  return "";
}

TEST(DefinitionFile, HeaderAndSections) {
  const auto stages = parse_definition(
      "# a comment\n"
      "\n"
      "BootStrap : docker # registry\n"
      "From: debian:12\n"
      "%post -c /bin/bash\n"
      "  echo %not a section\n"
      "# Bootstrap: neither a stage\n"
      "%ENVIRONMENT\n"
      "export A=1\n"
      "%post\n"
      "echo second\n",
      "x.def");
  ASSERT_EQ(stages.size(), 1U);
  EXPECT_EQ(stages[0].header_value("bootstrap"), "docker");
  EXPECT_EQ(stages[0].header_value("from"), "debian:12");
  EXPECT_EQ(stages[0].header_value("registry"), "");
  ASSERT_NE(stages[0].find("post"), nullptr);
  EXPECT_EQ(stages[0].find("post")->arguments, "-c /bin/bash");
  EXPECT_EQ(stages[0].find("post")->text,
            "  echo %not a section\n# Bootstrap: neither a stage\necho second\n");
  EXPECT_EQ(stages[0].find("environment")->text, "export A=1\n");
  EXPECT_EQ(stages[0].find("test"), nullptr);
}

TEST(DefinitionFile, Stages) {
  const auto stages = parse_definition(
      "From: a\nBootstrap: docker\nStage: one\n%post\ntrue\nBootstrap: localimage\nFrom: b\n"
      "%files from one\n/x /y\n%files\n/z\n",
      "x.def");
  ASSERT_EQ(stages.size(), 2U);
  EXPECT_EQ(stages[0].header_value("from"), "a");
  EXPECT_EQ(stages[0].header_value("stage"), "one");
  ASSERT_EQ(stages[1].files.size(), 2U);
  EXPECT_EQ(stages[1].files[0].stage, "one");
  EXPECT_THAT(stages[1].files[0].copies, ElementsAre(FileCopy{"/x", "/y"}));
  EXPECT_EQ(stages[1].files[1].stage, "");
  EXPECT_THAT(stages[1].files[1].copies, ElementsAre(FileCopy{"/z", ""}));
}

TEST(DefinitionFile, WordsOfFiles) {
  ::setenv("DEFINITION_TEST", "a value", 1);
  ::setenv("HOME", "/home/me", 0);
  const auto stages = parse_definition(
      "Bootstrap: scratch\n%files\n"
      "  # a comment\n"
      "  \"two words\" '/$DEFINITION_TEST'\r\n"
      "\t$DEFINITION_TEST/${DEFINITION_TEST}x\ta\\ b$DEFINITION_TEST\n"
      "  \"$DEFINITION_TEST\" $\n"
      "  ~/x ~/x\n",
      "x.def");
  EXPECT_THAT(
      stages[0].files[0].copies,
      ElementsAre(FileCopy{"two words", "/$DEFINITION_TEST"},
                  FileCopy{"a value/a valuex", "a b$DEFINITION_TEST"}, FileCopy{"a value", "$"},
                  FileCopy{std::string(std::getenv("HOME")) + "/x", "~/x"}));
}

TEST(DefinitionFile, CommentsAndLineEnds) {
  const auto stages = parse_definition(
      "Bootstrap: scratch\r\n%files FROM one # x\r\na b # c\r\nd # e\r\n%files # no "
      "stage\r\nf\r\n%post\r\n"
      "echo\r\n\r\n%test",
      "x.def");
  ASSERT_EQ(stages[0].files.size(), 2U);
  EXPECT_EQ(stages[0].files[0].stage, "one");
  EXPECT_THAT(stages[0].files[0].copies, ElementsAre(FileCopy{"a", "b"}, FileCopy{"d", ""}));
  EXPECT_THAT(stages[0].files[1].copies, ElementsAre(FileCopy{"f", ""}));
  EXPECT_EQ(stages[0].find("post")->text, "echo\n\n");
  EXPECT_EQ(stages[0].find("test")->text, "");
}

TEST(DefinitionFile, Defaults) {
  ::setenv("DEFINITION_EMPTY", "", 1);
  const auto stages = parse_definition(
      "Bootstrap: scratch\n%files\n${NO_SUCH_NAME:-a "
      "b}\n${DEFINITION_EMPTY:-c}\n${DEFINITION_EMPTY-d}e\n"
      "${NO_SUCH_NAME-f}\n",
      "x.def");
  EXPECT_THAT(stages[0].files[0].copies, ElementsAre(FileCopy{"a b", ""}, FileCopy{"c", ""},
                                                     FileCopy{"e", ""}, FileCopy{"f", ""}));
  EXPECT_THAT(split_words("/bin/sh  -c \"a b\" $X 'c'"),
              ElementsAre("/bin/sh", "-c", "a b", "$X", "c"));
}

TEST(DefinitionFile, Apps) {
  const auto stages = parse_definition(
      "Bootstrap: scratch\n%apprun b\necho b\n%appinstall a\nmake\n%appfiles b\nx y\n%appinstall "
      "a\n"
      "make install\n",
      "x.def");
  ASSERT_EQ(stages[0].apps.size(), 2U);
  EXPECT_EQ(stages[0].apps[0].name, "b");
  EXPECT_EQ(stages[0].apps[0].sections.at("run").text, "echo b\n");
  EXPECT_THAT(stages[0].apps[0].copies, ElementsAre(FileCopy{"x", "y"}));
  EXPECT_EQ(stages[0].apps[1].sections.at("install").text, "make\nmake install\n");
}

TEST(DefinitionFile, Labels) {
  EXPECT_THAT(parse_labels("  Author  me and you \n# no\n\nOnly\nTab\tvalue\r\n"),
              ElementsAre(Pair("Author", "me and you"), Pair("Only", ""), Pair("Tab", "value")));
}

TEST(DefinitionFile, Mistakes) {
  EXPECT_EQ(message_of(""), "while parsing definition: x.def: no stages found in definition file");
  EXPECT_THAT(message_of("From: x\n"), HasSubstr("no bootstrap specification found"));
  EXPECT_THAT(message_of("%post\ntrue\n"), HasSubstr("no bootstrap specification found"));
  EXPECT_THAT(message_of("Bootstrap: x\nnothing\n"), HasSubstr("header key nothing had no val"));
  EXPECT_THAT(message_of("Bootstrap: x\nFoo: y\n"), HasSubstr("invalid header keyword found: foo"));
  EXPECT_THAT(message_of("Bootstrap: x\n%one\n%two a\n"),
              HasSubstr("invalid section(s) specified: one, two"));
  EXPECT_THAT(message_of("Bootstrap: x\n%post\n %environment\n"),
              HasSubstr("blanks before %environment"));
  EXPECT_THAT(message_of("Bootstrap: x\n%apprun\n"), HasSubstr("could not be split"));
  EXPECT_THAT(message_of("Bootstrap: x\n%apprun a/b\n"), HasSubstr("names of apps"));
  EXPECT_THAT(message_of("Bootstrap: x\n%files form one\na\n"), HasSubstr("from STAGE"));
}

}  // namespace
}  // namespace definition
