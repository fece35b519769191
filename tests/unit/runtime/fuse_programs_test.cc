// SPDX-License-Identifier: Apache-2.0
#include "runtime/fuse_programs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace runtime {
namespace {

using ::testing::HasSubstr;

TEST(FuseMount, NamesAProgramAndAPath) {
  EXPECT_EQ(parse_fuse_mount("host:sshfs -o x host:/data /mnt/data/"),
            (FuseProgram{false, false, {"sshfs", "-o", "x", "host:/data"}, "/mnt/data"}));
  EXPECT_EQ(parse_fuse_mount("container:  cvmfs2  repo /cvmfs/repo "),
            (FuseProgram{true, false, {"cvmfs2", "repo"}, "/cvmfs/repo"}));
  EXPECT_EQ(parse_fuse_mount("host-daemon:a /b"), (FuseProgram{false, true, {"a"}, "/b"}));
  EXPECT_EQ(parse_fuse_mount("container-daemon:a /b/../c"), (FuseProgram{true, true, {"a"}, "/c"}));
}

TEST(FuseMount, MistakesAreTold) {
  const auto problem = [](const char* text) -> std::string {
    try {
      parse_fuse_mount(text);
    } catch (const base::Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(problem("guest:a /b"), HasSubstr("must begin with host:"));
  for (const char* text : {"host:", "host:a", "host:  /b "})
    EXPECT_THAT(problem(text), HasSubstr("a command and the path")) << text;
  for (const char* text : {"host:a b", "host:a /", "host:a /.."})
    EXPECT_THAT(problem(text), HasSubstr("must be an absolute path below /")) << text;
}

}  // namespace
}  // namespace runtime
