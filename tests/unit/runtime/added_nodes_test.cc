// SPDX-License-Identifier: Apache-2.0
#include "runtime/added_nodes.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/unit/fails_with.h"

namespace runtime {
namespace {

using unit::fails_with;

TEST(AddedPaths, ArriveAsTheyWereSent) {
  const std::vector<AddedPath> paths = {{7, {"data", "set"}, true}, {1, {"a\nfile"}, false}};
  const std::vector<AddedPath> arrived = parse_added_paths(serialize(paths));
  ASSERT_EQ(arrived.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(arrived[i].directory, paths[i].directory);
    EXPECT_EQ(arrived[i].components, paths[i].components);
    EXPECT_EQ(arrived[i].is_directory, paths[i].is_directory);
  }
  EXPECT_THAT([&] { parse_added_paths(serialize(paths).substr(1)); },
              fails_with("added paths is truncated"));
}

TEST(AddedPaths, TooManyAreLeftOut) {
  const std::vector<AddedPath> paths(2000, AddedPath{1, {std::string(200, 'x')}, true});
  const std::string sent = serialize(paths);
  EXPECT_LE(sent.size(), kMaxAddedBytes);
  EXPECT_GT(parse_added_paths(sent).size(), 500U);
}

}  // namespace
}  // namespace runtime
