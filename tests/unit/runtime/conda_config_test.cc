// SPDX-License-Identifier: Apache-2.0
#include "runtime/conda_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/runtime/tree_fixture.h"

namespace runtime {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST(Condarc, ListsAreExpanded) {
  const CondaDirectories out =
      parse_condarc("envs_dirs: [~/e, $A/x, '${A}y', relative, $UNSET/z]\npkgs_dirs: /one\n",
                    ".condarc", {"A=/a"}, "/home/u");
  EXPECT_THAT(out.environments, ElementsAre("/home/u/e", "/a/x", "/ay"));
  EXPECT_THAT(out.packages, ElementsAre("/one"));
}

TEST(Condarc, WhatIsNoYamlIsAProblemNotAFailure) {
  const CondaDirectories out = parse_condarc("envs_dirs: [", ".condarc", {}, "");
  EXPECT_THAT(out.environments, IsEmpty());
  EXPECT_THAT(out.problems, SizeIs(1));
}

TEST(CondaDirectories, ComeFromEveryPlace) {
  const TreeFixture top;
  top.file("/etc/conda/condarc.d/site.yml", "envs_dirs: [/site]\n");
  top.file("/mc/.condarc", "envs_dirs: [/root]\n");
  top.file("/own/rc", "pkgs_dirs: [/pkgs]\n");
  const CondaDirectories out = read_conda_directories(
      top.tree(), {{"CONDA_ENVS_PATH=/one:/two", "CONDARC=/own/rc"}, "/home/u", {"/mc"}, ""});
  EXPECT_THAT(out.environments, ElementsAre("/one", "/two", "/site", "/root"));
  EXPECT_THAT(out.packages, ElementsAre("/pkgs"));
}

TEST(KnownEnvironments, AreAbsoluteLines) {
  const TreeFixture top;
  top.file("/home/u/.conda/environments.txt", "/a/b\n\nrelative\n/a/b/\n");
  EXPECT_THAT(read_known_environments(top.tree(), "/home/u"), ElementsAre("/a/b"));
}

TEST(Pyvenv, ValuesAreTrimmed) {
  EXPECT_EQ(pyvenv_value("home = /usr/bin \nversion=3\n", "home"), "/usr/bin");
  EXPECT_EQ(pyvenv_value("homes = /usr/bin\n", "home"), "");
}

}  // namespace
}  // namespace runtime
