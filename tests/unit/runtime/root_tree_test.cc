// SPDX-License-Identifier: Apache-2.0
#include "runtime/root_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/runtime/tree_fixture.h"

namespace runtime {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(RootTree, LinksStayInside) {
  const TreeFixture top;
  top.file("/usr/lib/libcuda.so.550");
  top.link("/etc/alternatives/cuda", "/usr/lib/libcuda.so.550");
  top.link("/usr/lib/libcuda.so.1", "/etc/alternatives/cuda");
  top.link("/lib", "usr/lib");
  top.link("/escape", "../../../../usr/lib");
  EXPECT_EQ(top.tree().resolve("/lib/libcuda.so.1"), "/usr/lib/libcuda.so.550");
  EXPECT_EQ(top.tree().resolve("/escape/../lib//./libcuda.so.1"), "/usr/lib/libcuda.so.550");
  EXPECT_EQ(top.tree().resolve("/"), "/");
}

TEST(RootTree, AbsenceIsAnAnswer) {
  const TreeFixture top;
  top.file("/file", "text");
  top.link("/loop", "loop");
  top.link("/dangling", "/nowhere");
  EXPECT_FALSE(top.tree().exists("/nowhere"));
  EXPECT_FALSE(top.tree().exists("/file/below"));
  EXPECT_FALSE(top.tree().exists("/loop"));
  EXPECT_FALSE(top.tree().exists("/dangling"));
  EXPECT_FALSE(top.tree().read("/file", 3).has_value());
  EXPECT_EQ(top.tree().read("/file", 4), "text");
  const RootTree tree = top.tree();
  EXPECT_THAT(tree.list("/file"), IsEmpty());
}

TEST(RootTree, AnswersStayTheSameWhenDirectoriesAreKnown) {
  const TreeFixture top;
  top.file("/real/sub/file");
  top.link("/real/sub/up", "../other");
  top.file("/real/other");
  top.link("/link", "real/sub");
  top.link("/real/sub/deep", "/link/../sub/file");
  const RootTree tree = top.tree();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(tree.resolve("/link/file"), "/real/sub/file");
    EXPECT_EQ(tree.resolve("/link/up"), "/real/other");
    EXPECT_EQ(tree.resolve("/link/deep"), "/real/sub/file");
    EXPECT_EQ(tree.resolve("/link/.."), "/real");
    EXPECT_EQ(tree.resolve("/link/"), "/real/sub");
    EXPECT_FALSE(tree.exists("/link/none"));
    EXPECT_FALSE(tree.exists("/none/file"));
    EXPECT_FALSE(tree.exists("/link/file/below"));
  }
}

TEST(RootTree, SpellingsNameEveryHop) {
  const TreeFixture top;
  top.directory("/vol/real/envs/x");
  top.link("/scratch/link", "/vol/real");
  top.link("/home/u/conda", "../../scratch/link");
  EXPECT_THAT(top.tree().spellings("/home/u/conda/envs/x"),
              ElementsAre("/home/u/conda/envs/x", "/scratch/link/envs/x", "/vol/real/envs/x"));
  EXPECT_THAT(top.tree().spellings("/vol/real"), ElementsAre("/vol/real"));
  EXPECT_THAT(top.tree().spellings("/vol/none"), IsEmpty());
}

TEST(Paths, AreComparedByComponents) {
  EXPECT_TRUE(is_within("/a/b", "/a"));
  EXPECT_TRUE(is_within("/a", "/a"));
  EXPECT_TRUE(is_within("/a", "/"));
  EXPECT_FALSE(is_within("/ab", "/a"));
  EXPECT_FALSE(is_within("/a", "/a/b"));
  EXPECT_EQ(normal_path("//a/./b/../../../c/"), "/c");
  EXPECT_EQ(parent_path("/a"), "/");
  EXPECT_EQ(base_name("/a/b"), "b");
}

}  // namespace
}  // namespace runtime
