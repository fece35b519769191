// SPDX-License-Identifier: Apache-2.0
#include "runtime/user_cache.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace runtime {
namespace {

TEST(UserCache, FollowsTheEnvironment) {
  EXPECT_EQ(user_cache_folder({}, "/home/u"), "/home/u/.cache/sifrun");
  EXPECT_EQ(user_cache_folder({"XDG_CACHE_HOME=/x"}, "/home/u"), "/x/sifrun");
  EXPECT_EQ(user_cache_folder({"XDG_CACHE_HOME=/x", "SIFRUN_CACHEDIR=/c"}, "/home/u"), "/c");
  EXPECT_EQ(user_cache_folder({"APPTAINER_CACHEDIR=/a"}, "/home/u"), "/home/u/.cache/sifrun");
  EXPECT_EQ(user_cache_folder({"XDG_CACHE_HOME=x"}, "/h"), "/h/.cache/sifrun");
  EXPECT_EQ(user_cache_folder({"SIFRUN_CACHEDIR=c"}, "/h"), std::filesystem::current_path() / "c");
}

TEST(UserCache, ImagesAreUnpackedWhereImagesAreKept) {
  EXPECT_EQ(unpack_folder({"XDG_CACHE_HOME=/x", "APPTAINER_CACHEDIR=/a"}, "/home/u"), "/a/sifrun");
  EXPECT_EQ(unpack_folder({"SINGULARITY_CACHEDIR=relative"}, "/h"), "/h/.cache/sifrun");
}

}  // namespace
}  // namespace runtime
