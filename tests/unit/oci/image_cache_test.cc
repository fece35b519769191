// SPDX-License-Identifier: Apache-2.0
#include "oci/image_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>
#include <vector>

#include "base/error.h"
#include "tests/unit/fails_with.h"
#include "tests/unit/temporary_folder.h"

namespace oci {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using unit::fails_with;

std::string folder_with(const std::map<std::string, const char*>& variables) {
  return cache_folder(
      [&](const char* name) {
        const auto found = variables.find(name);
        return found == variables.end() ? nullptr : found->second;
      },
      "/home/me");
}

TEST(CacheFolder, FollowsApptainersVariables) {
  EXPECT_EQ(folder_with({}), "/home/me/.apptainer/cache");
  EXPECT_EQ(folder_with({{"HOME", "/h"}}), "/h/.apptainer/cache");
  EXPECT_EQ(folder_with({{"SINGULARITY_CACHEDIR", "/s"}}), "/s/cache");
  EXPECT_EQ(folder_with({{"SINGULARITY_CACHEDIR", "/s"}, {"APPTAINER_CACHEDIR", "/a"}}),
            "/a/cache");
  EXPECT_EQ(folder_with({{"APPTAINER_CACHEDIR", ""}}), "/home/me/.apptainer/cache");
  EXPECT_EQ(folder_with({{"APPTAINER_CONFIGDIR", "/c"}, {"HOME", "/h"}}), "/c/cache");
  EXPECT_EQ(folder_with({{"APPTAINER_CONFIGDIR", "/c"}, {"APPTAINER_CACHEDIR", "/a"}}), "/a/cache");
}

TEST(CachedImagePath, DependsOnTheIdentityAlone) {
  EXPECT_EQ(cached_image_path("/c", kCachedImages, "x"),
            cached_image_path("/c", kCachedImages, "x"));
  EXPECT_NE(cached_image_path("/c", kCachedImages, "x"),
            cached_image_path("/c", kCachedImages, "y"));
  EXPECT_THAT(cached_image_path("/c", kCachedImages, "x"), HasSubstr("/c/oci-tmp/"));
}

class MakeOnceTest : public ::testing::Test {
 protected:
  const unit::TemporaryFolder folder_;
};

TEST_F(MakeOnceTest, IsCalledByOneOfManyAtATime) {
  const std::string path = folder_ / "new/cache/oci-tmp/file";
  std::atomic<int> calls{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      make_once(path, [&](const std::string& target, const std::string&) {
        ++calls;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        std::ofstream(target) << "content";
      });
      EXPECT_TRUE(std::filesystem::exists(path));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_ / "new/cache/oci-tmp"), {}),
            1);
}

TEST_F(MakeOnceTest, IsTriedAgainAfterAFailure) {
  const std::string path = folder_ / "c/file";
  const auto fail = [](const std::string&, const std::string& lock) {
    EXPECT_TRUE(std::filesystem::exists(lock));
    throw base::error("it cannot be made");
  };
  EXPECT_THAT([&] { make_once(path, fail); }, fails_with("it cannot be made"));
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "c"));
  make_once(path, [](const std::string& target, const std::string&) {
    std::ofstream(target) << "content";
  });
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(MakeOnceTest, RefusesAFolderThatOthersMayWrite) {
  std::filesystem::create_directory(folder_ / "c");
  ASSERT_EQ(::chmod((folder_ / "c").c_str(), 0777), 0);
  try {
    make_once(folder_ / "c/file", [](const std::string&, const std::string&) { ADD_FAILURE(); });
    ADD_FAILURE() << "no error";
  } catch (const base::Error& error) {
    EXPECT_THAT(error.what(), EndsWith("belongs to or is writable for other users"));
  }
}

}  // namespace
}  // namespace oci
