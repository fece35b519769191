// SPDX-License-Identifier: Apache-2.0
#include "sif/path_lookup.h"

#include <gtest/gtest.h>

#include "made_image.h"

namespace sif {
namespace {

TEST(PathLookup, LinksStayInTheImage) {
  const unit::TemporaryFolder folder;
  ASSERT_TRUE(run_command("cd '" + folder.path() +
                          "' && mkdir -p t/a/b && echo inside > t/a/file && cd t && "
                          "ln -s /a/file absolute && ln -s ../../../../a up && ln -s loop loop && "
                          "ln -s b/../file a/near && ln -s /etc/passwd out"));
  ASSERT_TRUE(make_image(folder / "t", folder / "image", ""));
  const OpenImage image = open_made_image(folder / "image");
  for (const char* path : {"/a/file", "absolute", "/up/file", "a/near", "//a/./b/../file"})
    EXPECT_EQ(find_text(*image, path, 100), "inside\n") << path;
  for (const char* path : {"/a/no", "/loop", "/out", "/a/file/x", "/absolute/x", "/a"})
    EXPECT_EQ(find_text(*image, path, 100), std::nullopt) << path;
  EXPECT_EQ(find_text(*image, "/a/file", 3), std::nullopt);
  EXPECT_EQ(resolve_path(*image, "/.."), image->root());
}

}  // namespace
}  // namespace sif
