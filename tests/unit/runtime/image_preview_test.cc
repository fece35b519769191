// SPDX-License-Identifier: Apache-2.0
#include "runtime/image_preview.h"

#include <gtest/gtest.h>

#include "tests/unit/sif/made_image.h"

namespace runtime {
namespace {

class PreviewTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(tree_ / ".singularity.d/env");
    std::filesystem::create_directories(tree_ / "etc");
    std::filesystem::create_directories(tree_ / "real");
    std::filesystem::create_directory_symlink("/real", tree_ / "link");
    sif::write_text(tree_ / ".singularity.d/env/90-b.sh", "b");
    sif::write_text(tree_ / ".singularity.d/env/10-a.sh", "a");
    sif::write_text(tree_ / ".singularity.d/env/.hidden.sh", "no");
    sif::write_text(tree_ / ".singularity.d/env/readme", "no");
    sif::write_text(tree_ / "etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    ASSERT_TRUE(sif::make_image(tree_.path(), output_ / "i", "-comp gzip"));
    image_ = sif::open_made_image(output_ / "i");
    plan_.mounts.push_back({MountStage::files, MountKind::passwd_file, "", "/etc/passwd"});
  }

  void bind(const std::string& source, const std::string& target) {
    plan_.mounts.push_back({MountStage::user, MountKind::bind, source, target});
  }
  ImagePreview preview() const { return {*image_, plan_}; }

  unit::TemporaryFolder tree_, output_;
  sif::OpenImage image_;
  RunPlan plan_;
};

TEST_F(PreviewTest, FindsMissingMountPointsThroughLinks) {
  bind(output_.path(), "/link/a/b");
  bind(output_ / "i", "/etc/file");
  bind(output_.path(), "/real");
  bind(output_.path(), "/real/covered");
  bind(output_ / "absent", "/nowhere");
  const std::vector<AddedPath> missing = preview().missing_mount_points();
  ASSERT_EQ(missing.size(), 2U);
  EXPECT_EQ(missing[0].directory, image_->find_entry(image_->root(), "real"));
  EXPECT_EQ(missing[0].components, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(missing[0].is_directory);
  EXPECT_EQ(missing[1].components, (std::vector<std::string>{"file"}));
  EXPECT_FALSE(missing[1].is_directory);
}

// Other starts would see the rest empty: binds, and the directory where this one happens to be.
TEST_F(PreviewTest, OthersGetTheMountPointsThatAllOfThemHave) {
  const auto add = [&](MountStage stage, const std::string& source, const std::string& target) {
    plan_.mounts.push_back({stage, MountKind::bind, source, target});
  };
  add(MountStage::home, output_.path(), "/users/me");
  add(MountStage::files, output_ / "i", "/etc/resolv.conf");
  add(MountStage::files, output_.path(), "/opt/conda");
  add(MountStage::user, output_.path(), "/data");
  add(MountStage::cwd, output_.path(), "/scratch/job");
  EXPECT_EQ(preview().missing_mount_points().size(), 5U);
  const std::vector<AddedPath> common = preview().missing_mount_points(true);
  ASSERT_EQ(common.size(), 2U);
  EXPECT_EQ(common[0].components, (std::vector<std::string>{"users", "me"}));
  EXPECT_EQ(common[1].components, (std::vector<std::string>{"resolv.conf"}));
}

TEST_F(PreviewTest, MountsGoWhoseNeedsAreNotMet) {
  bind(output_.path(), "/absent/data");
  plan_.mounts.back().needs = {"/absent", "/link/library"};
  bind(output_.path(), "/absent/more");
  plan_.mounts.back().needs = {"/absent", "/etc/passwd"};
  drop_needless_mounts(*image_, plan_);
  ASSERT_EQ(plan_.mounts.size(), 2U);  // with the fixture's
  EXPECT_EQ(plan_.mounts[1].target, "/absent/more");
  EXPECT_EQ(preview().missing_mount_points().size(), 1U);
}

TEST_F(PreviewTest, ReadsScriptsInOrderAndAccounts) {
  const auto scripts = preview().scripts();
  ASSERT_TRUE(scripts);
  ASSERT_EQ(scripts->size(), 2U);
  EXPECT_EQ((*scripts)[0].name, "/.singularity.d/env/10-a.sh");
  EXPECT_EQ((*scripts)[0].text, "a");
  EXPECT_EQ((*scripts)[1].text, "b");
  EXPECT_EQ(preview().account_files().passwd, "root:x:0:0::/root:/bin/sh\n");
  EXPECT_FALSE(preview().account_files().group);
}

TEST_F(PreviewTest, LeavesAloneWhatMountsChange) {
  bind(output_ / "i", "/.singularity.d/env/95-mine.sh");
  EXPECT_FALSE(preview().scripts());
  EXPECT_TRUE(preview().account_files().passwd);
  bind(output_.path(), "/etc");
  EXPECT_FALSE(preview().account_files().passwd);
}

TEST_F(PreviewTest, KnowsWhatTheContainerCannotHave) {
  bind(output_.path(), "/link/a");
  const std::shared_ptr<const sif::SquashfsReader> image = std::move(image_.reader);
  const auto is_absent = ImagePreview(*image, plan_).absence(image);
  EXPECT_TRUE(is_absent("/etc/shadow"));
  EXPECT_FALSE(is_absent("/etc/passwd"));
  EXPECT_FALSE(is_absent("etc/shadow"));
  EXPECT_FALSE(is_absent("/real/a/anything"));
  EXPECT_FALSE(is_absent("/link/a/anything"));
  EXPECT_TRUE(is_absent("/link/b"));
  plan_.writable_tmpfs = true;
  EXPECT_FALSE(ImagePreview(*image, plan_).absence(image));
}

TEST_F(PreviewTest, LeavesUnreadableScriptsToTheContainer) {
  std::filesystem::permissions(tree_ / ".singularity.d/env/90-b.sh", std::filesystem::perms{0200});
  ASSERT_TRUE(sif::make_image(tree_.path(), output_ / "j", "-comp gzip"));
  image_ = sif::open_made_image(output_ / "j");
  EXPECT_FALSE(preview().scripts());
}

}  // namespace
}  // namespace runtime
