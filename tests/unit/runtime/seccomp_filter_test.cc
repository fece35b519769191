// SPDX-License-Identifier: Apache-2.0
#include "runtime/seccomp_filter.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/error.h"

namespace runtime {
namespace {

using testing::HasSubstr;

// Exit status of a child that makes a directory below the filter: the errno, or 128 + a signal.
int mkdir_under(const std::string& profile, Capabilities capabilities = 0) {
  const SeccompFilter filter(profile, "test.json", capabilities);
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    filter.install();
    ::_exit(::mkdirat(AT_FDCWD, "/", 0700) == 0 ? 0 : errno);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::string rule(const std::string& more) {
  return R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdirat","no_such_call"],)" +
         more + "}]}";
}

std::string failure(const std::string& profile) {
  try {
    const SeccompFilter filter(profile, "p", 0);
  } catch (const base::Error& error) {
    return error.what();
  }
  return "";
}

TEST(SeccompFilter, DoesWhatTheRuleSays) {
  EXPECT_EQ(mkdir_under(R"({"defaultAction":"SCMP_ACT_ALLOW"})"), EEXIST);
  EXPECT_EQ(mkdir_under(rule(R"("action":"SCMP_ACT_ERRNO")")), EPERM);
  EXPECT_EQ(mkdir_under(rule(R"("action":"SCMP_ACT_ERRNO","errnoRet":38)")), 38);
  EXPECT_EQ(mkdir_under(rule(R"("action":"SCMP_ACT_KILL")")), 128 + SIGSYS);
  EXPECT_EQ(mkdir_under(rule(R"("action":"SCMP_ACT_ALLOW")")), EEXIST);
}

TEST(SeccompFilter, ComparesArguments) {
  const std::string mode =
      R"("action":"SCMP_ACT_ERRNO","args":[{"index":2,"op":"SCMP_CMP_EQ","value":)";
  EXPECT_EQ(mkdir_under(rule(mode + "448}]")), EPERM);
  EXPECT_EQ(mkdir_under(rule(mode + "449}]")), EEXIST);
  const std::string other = R"(},{"index":2,"op":"SCMP_CMP_EQ","value":450}])";
  EXPECT_EQ(mkdir_under(rule(mode + "448" + other)), EPERM);  // any of them
  EXPECT_EQ(mkdir_under(rule(mode + "449" + other)), EEXIST);
}

TEST(SeccompFilter, RulesMayDependOnCapabilities) {
  const std::string with = R"("action":"SCMP_ACT_ERRNO","includes":{"caps":["CAP_CHOWN"]})";
  EXPECT_EQ(mkdir_under(rule(with), capability_bit("chown")), EPERM);
  EXPECT_EQ(mkdir_under(rule(with), 0), EEXIST);
  const std::string without = R"("action":"SCMP_ACT_ERRNO","excludes":{"caps":["CAP_CHOWN"]})";
  EXPECT_EQ(mkdir_under(rule(without), capability_bit("chown")), EEXIST);
}

TEST(SeccompFilter, BadProfilesAreNamed) {
  EXPECT_THAT(failure("{"), HasSubstr("parse error at line 1, column 2"));
  EXPECT_EQ(failure("[]"), "seccomp profile p: expected an object");
  EXPECT_EQ(failure("{}"), "seccomp profile p: defaultAction must be a text");
  EXPECT_EQ(failure(R"({"defaultAction":"X"})"), "seccomp profile p: unknown word X");
  EXPECT_EQ(failure(rule(R"("action":"SCMP_ACT_ERRNO","args":[{"index":7,"op":"SCMP_CMP_EQ"}])")),
            "seccomp profile p: a system call has six arguments, index 7 is not among them");
  const char* number =
      R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"action":"SCMP_ACT_KILL","names":[1]}]})";
  EXPECT_THAT(failure(number), HasSubstr("type must be string, but is number"));
}

}  // namespace
}  // namespace runtime
