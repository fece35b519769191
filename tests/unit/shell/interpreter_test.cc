// SPDX-License-Identifier: Apache-2.0
// Limits and refusals; what scripts compute is compared with real shells in
// tests/e2e/shell_test.py.
#include "shell/interpreter.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/unique_fd.h"

namespace shell {
namespace {

std::string value_after(const std::string& script, const std::string& name, Options options = {}) {
  Interpreter interpreter(std::move(options));
  interpreter.run_text(script, "script");
  return interpreter.variables().value_or(name, "(unset)");
}

std::string error_of(const std::string& script, Options options = {}) {
  Interpreter interpreter(std::move(options));
  try {
    interpreter.run_text(script, "script");
  } catch (const base::Error& error) {
    return error.what();
  } catch (const ExitRequest& request) {
    return "exit " + std::to_string(request.status);
  }
  return "";
}

Options without_programs() {
  Options options;
  options.programs = Options::Programs::refuse;
  options.files = false;
  return options;
}

std::string repeated(const std::string& text, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

TEST(Interpreter, EvaluatesTheScriptsOfADockerImage) {
  EXPECT_EQ(value_after("export PATH=\"/opt/bin:/usr/bin\"\n"
                        "export LANG=\"${LANG:-\"C.UTF-8\"}\"\n"
                        "export Q=\"${Q:-\"a \\\"b\\\" \\$c \\\\ \\`d\\`\"}\"\n",
                        "Q"),
            "a \"b\" $c \\ `d`");
}

TEST(Interpreter, ExportsOnlyWhatIsMarked) {
  Interpreter interpreter;
  interpreter.run_text("A=1; export B=2 C; C=3; export D; set -a; E=5", "script");
  EXPECT_EQ(interpreter.variables().environment(), (std::vector<std::string>{"B=2", "C=3", "E=5"}));
}

TEST(Interpreter, CanGoOnBehindErrors) {
  Options forgiving;
  forgiving.forgives_errors = true;
  for (const char* error :
       {"x=$((1/0))", "readonly R=1; readonly R=2", "readonly R=1; unset R", "set -o nothing", ".",
        ": > /nonexistent/file", "[[ a =~ '(' ]]", "for i in 1; do : $((1/0)); done",
        "(: $((1/0)))", "f() { : $((08)); }; f", "x[-1]=1", "shift -1", "((x = 1 / 0))"}) {
    EXPECT_EQ(value_after(base::cat(error, "; s=$?; after=yes"), "after", forgiving), "yes")
        << error;
  }
  EXPECT_EQ(value_after("x=$((1/0)) || x=failed", "x", forgiving), "failed");
  EXPECT_THROW(value_after("set -e; : $((1/0))", "x", forgiving), ExitRequest);
}

TEST(Interpreter, BeginsWithTheSeparatorsOfShells) {
  EXPECT_EQ(value_after("old=$IFS; IFS=:; set -- $x; IFS=$old; y='a b'; set -- $y; n=$#", "n"),
            "2");
  Interpreter interpreter;
  interpreter.variables().import_environment({"IFS=:", "OPTIND=7"});
  EXPECT_EQ(interpreter.variables().environment(),
            (std::vector<std::string>{"IFS= \t\n", "OPTIND=1"}));
}

TEST(Interpreter, DropsVariablesThatAreNoIdentifiers) {
  Interpreter interpreter;
  interpreter.variables().import_environment({"OK=1", "BASH_FUNC_x%%=() { :; }", "=C", "1=2"});
  EXPECT_EQ(interpreter.variables().environment(), std::vector<std::string>{"OK=1"});
}

TEST(Interpreter, NamesFileAndLineOfBadSyntax) {
  EXPECT_EQ(error_of("echo a\n\nif x; then\nfi\n"), "script:4: syntax error: unexpected \"fi\"");
  EXPECT_EQ(error_of("x='a\nb"), "script:1: unterminated quoted string");
  EXPECT_EQ(error_of("A=1\ncat <(true)"), "script:2: process substitution is not supported");
}

TEST(Interpreter, RefusesProgramsAndFilesWhereTheyAreDisabled) {
  EXPECT_EQ(error_of("id -u", without_programs()),
            "could not execute \"id -u\": execution is disabled");
  EXPECT_EQ(error_of("x=$(id)", without_programs()),
            "could not execute \"id\": execution is disabled");
  EXPECT_EQ(error_of(". /etc/profile", without_programs()),
            "/etc/profile: reading of files is disabled");
  EXPECT_EQ(value_after("x=$(echo a; echo b >&1); y=$(echo *)", "y", without_programs()), "*");
}

TEST(Interpreter, BoundsNestingOfText) {
  const std::string limit = "constructs are nested deeper than";
  for (const char* opening : {"(", "$(", "{ ", "if ", "while ", "\"$(", "${x:-", "`", "! ("}) {
    EXPECT_FALSE(error_of(": ;" + repeated(opening, 20'001)).empty()) << opening;
  }
  EXPECT_NE(error_of("x=" + repeated("$(", 500) + repeated(")", 500)).find(limit),
            std::string::npos);
  EXPECT_NE(error_of(repeated("( ", 500) + ":" + repeated(" )", 500)).find(limit),
            std::string::npos);
}

TEST(Interpreter, BoundsRecursionAtRunTime) {
  EXPECT_EQ(error_of("f() { f; }; f"),
            "script: line 1: functions or commands are nested too deeply");
  EXPECT_EQ(error_of("f() { x=$(f); }; f"),
            "script: line 1: functions or commands are nested too deeply");
  EXPECT_EQ(error_of("x='eval \"$x\"'; eval \"$x\""),
            "script: line 1: functions or commands are nested too deeply");
}

TEST(Interpreter, BoundsStepsAndMemory) {
  Options options = without_programs();
  options.max_steps = 1000;
  options.max_value_bytes = 1 << 16;
  EXPECT_EQ(error_of("while :; do :; done", options), "script: the script runs for too many steps");
  EXPECT_EQ(error_of("x=aaaa; while :; do x=$x$x; done", options),
            "script: x: the value grows too large");
  EXPECT_EQ(error_of("f() { f \"$*$*\" \"$@\" \"$@\"; }; f a", options),
            "script: line 1: the arguments of a command grow too large");
}

TEST(Interpreter, ArithmeticHasNoExponentialCost) {
  EXPECT_EQ(error_of("a=a+a; echo $((a))"), "exit 2");
  EXPECT_EQ(value_after("x=$((-9223372036854775807 - 1)); y=$((x / -1)); z=$((x % -1))", "z"), "0");
}

TEST(Interpreter, PatternsHaveNoExponentialCost) {
  const std::string text(3000, 'a');
  EXPECT_EQ(
      value_after("x=" + text + "; case $x in *a*a*a*a*a*a*a*a*a*b) y=1;; *) y=2;; esac", "y"),
      "2");
}

TEST(Interpreter, GetoptsNoticesOtherArguments) {
  const std::string next = "getopts ab x; s=$?";
  EXPECT_EQ(value_after("set -- -ab; " + next + "; set --; " + next, "s"), "1");
  EXPECT_EQ(value_after("set -- -ab; " + next + "; set --; " + next, "x"), "?");
  EXPECT_EQ(value_after("set -- -ab; " + next + "; set -- -b; " + next, "x"), "b");
  EXPECT_EQ(value_after("set -- -ab; " + next + "; set -- ''; " + next, "x"), "?");
  EXPECT_EQ(value_after("OPTIND=9223372036854775807; set -- -a; " + next, "x"), "?");
  EXPECT_EQ(value_after("set -- -ab; " + next + "; OPTIND=1; " + next, "x"), "a");
}

TEST(Interpreter, RandomNumbersAreTheirOwnInEachProcess) {
  const std::string numbers = "$(: | echo $RANDOM $RANDOM $RANDOM $RANDOM)";
  EXPECT_EQ(value_after("x=same; [ \"" + numbers + "\" = \"" + numbers + "\" ] || x=other", "x"),
            "other");
  EXPECT_NE(value_after("x=$((RANDOM)).$((RANDOM)).$((RANDOM))", "x"), "0.0.0");
  EXPECT_EQ(
      value_after("x=0; for i in {1..500}; do ((RANDOM < 0 || RANDOM > 32767)) && x=1; done", "x"),
      "0");
  EXPECT_EQ(value_after("RANDOM=5; x=$RANDOM", "x"), "5");
}

TEST(Interpreter, SecondsAreThoseOfTheClock) {
  Interpreter interpreter;
  ::usleep(1'100'000);
  interpreter.run_text("x=$SECONDS; (SECONDS=1000); y=$((SECONDS)); SECONDS=7000; z=$SECONDS", "");
  const auto seconds = [&](const char* name) {
    return std::stoi(interpreter.variables().value_or(name, "-1"));
  };
  EXPECT_GE(seconds("x"), 1);
  EXPECT_GE(seconds("y"), seconds("x"));
  EXPECT_LT(seconds("y"), 1000);
  EXPECT_GE(seconds("z"), 7000);
  EXPECT_EQ(
      value_after("SECONDS=9223372036854775807; x=$SECONDS; readonly SECONDS=5; y=$SECONDS", "y"),
      "5");
}

TEST(Interpreter, RefusesIndicesThatNothingCanFollow) {
  for (const char* script :
       {"x=([9223372036854775807]=a b)", "x[9223372036854775807]=a", "x=([-1]=a)",
        "x=([-9223372036854775808]=a); y=${x[-5]}", "((x[9223372036854775807] = 1))",
        "x=([9223372036854775806]=a b)", "x=([9223372036854775806]=a {b,c})"}) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(error_of(script), "exit 1") << script;
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "script: line 1: x: bad array subscript\n")
        << script;
  }
  EXPECT_EQ(value_after("x=([9223372036854775806]=a); y=${x[-1]}${x[-9223372036854775808]}", "y"),
            "a");
  EXPECT_EQ(value_after("x=(a b [-1]=c); y=${x[*]}", "y"), "a c");
}

TEST(Interpreter, BoundsRegularExpressions) {
  const auto message_of = [](const std::string& script) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(error_of(script), "exit 2") << script;
    return testing::internal::GetCapturedStderr();
  };
  const std::string repeats = ": the regular expression repeats too much to be compiled\n";
  EXPECT_EQ(message_of("r='((((x{1,200}){1,200}){1,200}){1,200})'; [[ x =~ $r ]]"),
            "script: line 1: [[: ((((x{1,200}){1,200}){1,200}){1,200})" + repeats);
  for (const std::string& expression :
       {repeated("(", 30) + "x" + repeated("+)", 30), std::string("([]{x}]{1,99}){1,99}"),
        std::string("[[:alpha:]]{30000}"), std::string("(x{,99}){,99}"),
        std::string("(x{99,}){99}")})
    EXPECT_TRUE(message_of("r='" + expression + "'; [[ x =~ $r ]]").ends_with(repeats))
        << expression;
  EXPECT_NE(message_of("r='(a*)*\\1'; [[ x =~ $r ]]").find("back-references"), std::string::npos);
  EXPECT_NE(
      message_of("printf -v t %65000s; [[ $t =~ (a|b)*a(a|b){40} ]]").find("text is too long"),
      std::string::npos);
  EXPECT_NE(message_of("printf -v t %9000s; [[ $t =~ (a|b)*a(a|b){40} ]]").find("too long"),
            std::string::npos);
  Options options;
  options.max_steps = 1000;
  EXPECT_EQ(error_of("printf -v t %9999s; [[ $t =~ (a|b)*a ]]", options),
            "script: the script runs for too many steps");
  EXPECT_EQ(error_of("printf -v t %9999s; [[ $t =~ ^xyz ]]", options),
            "script: the script runs for too many steps");
  for (const char* cheap : {"^[ab]*a{9}", "(^|:)/usr/local/lib(:|$)"})
    EXPECT_EQ(
        value_after(std::string("printf -v t %60000s; [[ $t =~ ") + cheap + " ]] || x=no", "x"),
        "no");
  EXPECT_EQ(value_after("r='^([0-9]{1,3}\\.){3}[0-9]{1,3}$'; [[ 10.0.0.17 =~ $r ]]; x=$?", "x"),
            "0");
  EXPECT_EQ(value_after("r='([[:digit:].[]+)\\\\1(z)?'; [[ '12\\1' =~ $r ]]; "
                        "x=$?${#BASH_REMATCH[@]}${BASH_REMATCH[1]}",
                        "x"),
            "0312");
}

TEST(Interpreter, ChangesNothingOfItsProcessWhereProgramsAreRefused) {
  const base::UniqueFd before(::open(".", O_PATH | O_CLOEXEC));
  const mode_t mask = ::umask(022);
  EXPECT_EQ(value_after("umask 0; x=$?; ulimit -Sc 0; x=$x$?; exec 2>&-; trap '' TERM", "x",
                        without_programs()),
            "11");
  EXPECT_EQ(value_after("cd /usr; pushd ..; x=$?$PWD$OLDPWD$(pwd); cd /dev/null; "
                        "x=$x$?$PWD; cd usr; x=$x$PWD",
                        "x", without_programs()),
            "0//usr/1//usr");
  EXPECT_EQ(::umask(mask), 022u);
  struct stat here, there;
  ASSERT_EQ(::fstat(before.get(), &here), 0);
  ASSERT_EQ(::stat(".", &there), 0);
  EXPECT_EQ(here.st_ino, there.st_ino);
  EXPECT_GE(::fcntl(STDERR_FILENO, F_GETFD), 0);
}

TEST(Interpreter, WhatArraysHoldIsBounded) {
  Options options;
  options.max_value_bytes = 100'000;
  const std::string often = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do ";
  for (const char* growing : {"x=(a); %x+=(\"${x[@]}\")", "x=(aaaaaaaaaaaaaaaa); %x[0]+=$x$x$x",
                              "x=(aaaaaaaaaaaaaaaa); %x=([0]=$x$x$x)"}) {
    std::string script = growing;
    script.replace(script.find('%'), 1, often);
    EXPECT_EQ(error_of(script + "; done", options), "script: x: the value grows too large");
  }
}

TEST(Interpreter, WordsOfBracesAreSteps) {
  Options options;
  options.max_steps = 1000;
  EXPECT_EQ(error_of(": {1..2000}", options), "script: the script runs for too many steps");
}

TEST(Interpreter, ComputedVariablesAreExportedAsTheyAre) {
  Interpreter interpreter;
  interpreter.run_text("SECONDS=1000; export SECONDS; readonly EUID", "script");
  EXPECT_EQ(interpreter.variables().value_or("SECONDS", ""), "1000");
  EXPECT_EQ(interpreter.variables().value_or("EUID", ""), std::to_string(::geteuid()));
}

TEST(Interpreter, SubshellsLeaveNoTrace) {
  EXPECT_EQ(value_after("x=1; y=$(x=2; echo $x); (x=3); echo $y >/dev/null", "x"), "1");
  EXPECT_EQ(value_after("f() { echo a; }; x=$(f() { echo b; }; f)$(f)", "x"), "ba");
}

TEST(Interpreter, LocalVariablesEndWithTheirFunction) {
  EXPECT_EQ(value_after("x=1; f() { local x=2; g; }; g() { y=$x; x=3; }; f", "y"), "2");
  EXPECT_EQ(value_after("x=1; f() { local x=2; return; }; f", "x"), "1");
}

TEST(Interpreter, ExitOfAScriptEndsTheShell) { EXPECT_EQ(error_of("exit 7"), "exit 7"); }

TEST(Interpreter, UnsupportedFilesGoToTheCaller) {
  Options options;
  std::string asked;
  options.on_unsupported = [&](Interpreter&, const std::string& path, const SyntaxError& error) {
    asked = path + "|" + error.what();
    return 5;
  };
  Interpreter interpreter(options);
  const std::string path = testing::TempDir() + "/unsupported.sh";
  FILE* file = std::fopen(path.c_str(), "w");
  std::fputs("A=1\ncoproc x\n", file);
  std::fclose(file);
  EXPECT_EQ(interpreter.run_file(path), 5);
  EXPECT_EQ(asked, path + "|" + path + ":2: coproc is not supported");
  EXPECT_EQ(interpreter.variables().value("A"), nullptr);
}

}  // namespace
}  // namespace shell
