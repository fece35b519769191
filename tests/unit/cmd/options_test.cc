// SPDX-License-Identifier: Apache-2.0
#include "cmd/options.h"

#include <gmock/gmock.h>

#include <stdexcept>

#include "base/error.h"

namespace cmd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr OptionRow kTable[] = {
    {.name = "contain",
     .letter = 'c',
     .help = "contain it",
     .env = "CONTAIN",
     .group = "Isolation"},
    {.name = "cleanenv",
     .letter = 'e',
     .help = "clean it",
     .env = "CLEANENV",
     .group = "Isolation"},
    {.name = "bind",
     .letter = 'B',
     .kind = OptionKind::texts,
     .value = "SPEC",
     .help = "bind it",
     .env = "BIND BINDPATH",
     .group = "Mounts",
     .env_appends = true},
    {.name = "scratch",
     .letter = 'S',
     .kind = OptionKind::list,
     .value = "DIR",
     .help = "scratch",
     .env = "SCRATCH SCRATCHDIR",
     .group = "Mounts"},
    {.name = "cwd",
     .kind = OptionKind::text,
     .value = "DIR",
     .help = "start in DIR",
     .env = "CWD TARGET_CWD",
     .group = "Mounts"},
    {.name = "pwd", .kind = OptionKind::text, .env = "PWD", .same_as = "cwd"},
    {.name = "env", .kind = OptionKind::assignments, .value = "K=V", .help = "set it"},
};

ParsedOptions parse(std::vector<const char*> arguments, std::vector<const char*> environ = {},
                    Ordering ordering = Ordering::options_first) {
  environ.push_back(nullptr);
  return parse_options(kTable, arguments, {{"APPTAINER_", "SINGULARITY_"}, environ.data()},
                       ordering);
}

std::string failure(std::vector<const char*> arguments, std::vector<const char*> environ = {}) {
  try {
    parse(std::move(arguments), std::move(environ));
  } catch (const base::Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Options, EndAtTheFirstPositional) {
  const ParsedOptions parsed = parse({"-c", "x.sif", "ls", "-e", "--", "--bind"});
  EXPECT_TRUE(parsed.flag("contain"));
  EXPECT_FALSE(parsed.flag("cleanenv"));
  EXPECT_THAT(parsed.positionals(), ElementsAre("x.sif", "ls", "-e", "--", "--bind"));
}

TEST(Options, EndAtTwoDashes) {
  EXPECT_THAT(parse({"-c", "--", "-e", "x"}).positionals(), ElementsAre("-e", "x"));
  EXPECT_THAT(parse({"-", "-e"}).positionals(), ElementsAre("-", "-e"));
}

TEST(Options, MayStandAnywhereWhenMixed) {
  const ParsedOptions parsed = parse({"a", "-c", "b", "--", "-e"}, {}, Ordering::mixed);
  EXPECT_TRUE(parsed.flag("contain"));
  EXPECT_THAT(parsed.positionals(), ElementsAre("a", "b", "-e"));
}

TEST(Options, GluedShortForms) {
  const ParsedOptions parsed =
      parse({"-ceB/a:/b", "-B", "/c", "-B=/d", "--bind=/e=f", "--bind", "-g"});
  EXPECT_TRUE(parsed.flag("contain"));
  EXPECT_TRUE(parsed.flag("cleanenv"));
  EXPECT_THAT(parsed.values("bind"), ElementsAre("/a:/b", "/c", "/d", "/e=f", "-g"));
}

TEST(Options, FlagsTakeTruthValuesOnlyAfterEquals) {
  EXPECT_FALSE(parse({"--contain=false"}).flag("contain"));
  EXPECT_FALSE(parse({"-c=0"}).flag("contain"));
  EXPECT_TRUE(parse({"--contain=T"}).flag("contain"));
  EXPECT_THAT(parse({"--contain", "false"}).positionals(), ElementsAre("false"));
}

TEST(Options, ListsSplitAtCommas) {
  EXPECT_THAT(parse({"-S", "/a,/b", "-S/c"}).values("scratch"), ElementsAre("/a", "/b", "/c"));
  EXPECT_THAT(parse({"-S", "\"/a,x\",\"q\"\"q\""}).values("scratch"), ElementsAre("/a,x", "q\"q"));
}

TEST(Options, AnEmptyListHasNoValue) {
  EXPECT_THAT(parse({"-S", "", "-S", "/a"}).values("scratch"), ElementsAre("/a"));
  EXPECT_THAT(parse({"-S", "/a,,/b"}).values("scratch"), ElementsAre("/a", "", "/b"));
}

TEST(Options, AssignmentsWithOneEqualsSignKeepTheirCommas) {
  EXPECT_THAT(parse({"--env", "A=1,2"}).values("env"), ElementsAre("A=1,2"));
  EXPECT_THAT(parse({"--env", "\"A=1,2\""}).values("env"), ElementsAre("A=1,2"));
  EXPECT_THAT(parse({"--env", "A=\"1\""}).values("env"), ElementsAre("A=\"1\""));
  EXPECT_THAT(parse({"--env", "A=1,B=2", "--env=C="}).values("env"),
              ElementsAre("A=1", "B=2", "C="));
}

TEST(Options, SpellingsShareOneValue) {
  EXPECT_EQ(parse({"--pwd", "/a"}).text("cwd"), "/a");
  EXPECT_EQ(parse({"--pwd", "/a", "--cwd=/b"}).text("cwd"), "/b");
}

TEST(Options, EnvironmentStandsInForAbsentOptions) {
  const ParsedOptions parsed = parse(
      {"-S", "/line"}, {"SINGULARITY_CONTAIN=1", "APPTAINER_SCRATCH=/env", "SINGULARITY_PWD=/p"});
  EXPECT_TRUE(parsed.flag("contain"));
  EXPECT_THAT(parsed.values("scratch"), ElementsAre("/line"));
  EXPECT_EQ(parsed.text("cwd"), "/p");
  EXPECT_TRUE(parsed.warnings().empty());
}

TEST(Options, PreferredPrefixWinsWithAWarning) {
  const ParsedOptions parsed = parse({}, {"SINGULARITY_CWD=/s", "APPTAINER_CWD=/a"});
  EXPECT_EQ(parsed.text("cwd"), "/a");
  EXPECT_THAT(
      parsed.warnings(),
      ElementsAre("SINGULARITY_CWD and APPTAINER_CWD have different values, using the latter"));
}

TEST(Options, FirstKeyWinsAndEmptyValuesAreAbsent) {
  EXPECT_EQ(parse({}, {"APPTAINER_TARGET_CWD=/t", "APPTAINER_CWD=/c"}).text("cwd"), "/c");
  EXPECT_EQ(parse({}, {"APPTAINER_TARGET_CWD=/t", "APPTAINER_CWD="}).text("cwd"), "/t");
  EXPECT_FALSE(parse({}, {"APPTAINER_CONTAIN="}).flag("contain"));
  const ParsedOptions hidden = parse({}, {"SINGULARITY_CONTAIN=1", "APPTAINER_CONTAIN="});
  EXPECT_FALSE(hidden.flag("contain"));
  EXPECT_EQ(hidden.warnings().size(), 1u);
  EXPECT_TRUE(parse({}, {"SINGULARITY_CONTAIN=", "APPTAINER_CONTAIN=1"}).flag("contain"));
}

TEST(Options, BindsOfTheEnvironmentComeAfterThoseOfTheLine) {
  const ParsedOptions parsed =
      parse({"-B", "/line"}, {"SINGULARITY_BINDPATH=/c", "SINGULARITY_BIND=/a,/b"});
  EXPECT_THAT(parsed.values("bind"), ElementsAre("/line", "/a,/b", "/c"));
}

TEST(Options, UsageErrorsNameTheOption) {
  EXPECT_EQ(failure({"--nope"}), "unknown option --nope");
  EXPECT_EQ(failure({"-cx"}), "unknown option -x in -cx");
  EXPECT_EQ(failure({"-x"}), "unknown option -x");
  EXPECT_EQ(failure({"--bind"}), "option --bind needs a value");
  EXPECT_EQ(failure({"-cB"}), "option -B needs a value");
  EXPECT_EQ(failure({"--contain=maybe"}), "--contain: maybe is neither true nor false");
  EXPECT_EQ(failure({}, {"SINGULARITY_CONTAIN=maybe"}),
            "SINGULARITY_CONTAIN: maybe is neither true nor false");
  EXPECT_EQ(failure({"--env", "A"}), "--env: A must be of the form KEY=VALUE");
  EXPECT_EQ(failure({"-S", "\"a"}), "-S: a double quote is not closed");
  EXPECT_EQ(failure({"-S", "\"a\"b"}), "-S: text follows a closing double quote");
}

TEST(Options, IntegersOfEveryBase) {
  EXPECT_EQ(find_integer("64"), 64);
  EXPECT_EQ(find_integer("-5"), -5);
  EXPECT_EQ(find_integer("+5"), 5);
  EXPECT_EQ(find_integer("0"), 0);
  EXPECT_EQ(find_integer("0x40"), 64);
  EXPECT_EQ(find_integer("-0X40"), -64);
  EXPECT_EQ(find_integer("0100"), 64);
  EXPECT_EQ(find_integer("0o100"), 64);
  EXPECT_EQ(find_integer("0b1000000"), 64);
  EXPECT_EQ(find_integer("9223372036854775807"), 9223372036854775807);
  for (const char* text : {"", "-", "x", "1e3", "1 ", " 1", "0x", "08", "0b2", "--5", "-+5", "1.5",
                           "9223372036854775808", "99999999999999999999"})
    EXPECT_EQ(find_integer(text), std::nullopt) << text;
}

TEST(Options, AskingForAnAbsentRowIsAProgrammingError) {
  EXPECT_THROW(parse({}).flag("nope"), std::logic_error);
  EXPECT_THROW(parse({}).flag("bind"), std::logic_error);
}

TEST(Options, HelpIsGroupedAndAligned) {
  const std::string help = options_help(kTable);
  EXPECT_THAT(help, HasSubstr("Isolation:\n  -c, --contain               contain it\n"));
  EXPECT_THAT(help, HasSubstr("\nMounts:\n  -B, --bind SPEC             bind it\n"));
  EXPECT_THAT(help, HasSubstr("      --cwd DIR               start in DIR\n"));
  EXPECT_THAT(help, HasSubstr("\nOptions:\n      --env K=V               set it\n"));
  EXPECT_EQ(help.find("--pwd"), std::string::npos);
}

}  // namespace
}  // namespace cmd
