// SPDX-License-Identifier: Apache-2.0
#include "ext/overlay_marks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.h"
#include "tests/unit/ext/ext_image.h"

namespace ext {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

constexpr NewInode kMarkerFile{S_IFREG | 0700, 1000, 1000, 0};

class OverlayMarksTest : public ::testing::Test {
 protected:
  FileSystem open(Access access) { return image_.open(access); }

  static std::vector<std::string> names(FileSystem& fs, InodeNumber directory) {
    std::vector<std::string> found;
    fs.list(directory, 0, [&](const FileSystem::Entry& entry) {
      if (entry.name != "." && entry.name != "..") found.emplace_back(entry.name);
      return true;
    });
    return found;
  }
  static bool is_whiteout(FileSystem& fs, InodeNumber directory, const char* name) {
    const Attributes file = fs.attributes(fs.find_entry(directory, name).value());
    return S_ISCHR(file.mode) && file.device == 0;
  }
  // As fuse-overlayfs leaves it.
  InodeNumber make_marked_folder(FileSystem& fs) {
    const InodeNumber folder = fs.make(kRootInode, "folder", kFolder);
    for (const char* name : {".wh.gone", ".wh..wh..opq"}) fs.make(folder, name, kMarkerFile);
    fs.make(folder, ".wh..opq", {S_IFCHR, 1000, 1000, 0});
    fs.make(folder, "kept", kFile);
    fs.make(folder, ".wh.of a program", kFile);
    return folder;
  }

  const ExtImage image_{"-t ext3", 4 << 20};
};

TEST_F(OverlayMarksTest, BecomeTheKernels) {
  FileSystem fs = open(Access::read_write);
  const InodeNumber folder = make_marked_folder(fs);
  AttributeChanges times;
  times.modified = Time{1'600'000'000, 0};
  fs.change(folder, times);
  use_kernel_marks(fs, folder);
  EXPECT_THAT(names(fs, folder), UnorderedElementsAre("gone", "kept", ".wh.of a program"));
  EXPECT_TRUE(is_whiteout(fs, folder, "gone"));
  EXPECT_EQ(find_layer_xattr(fs, folder, "user.overlay.opaque"), "y");
  EXPECT_EQ(fs.attributes(folder).modified.seconds, 1'600'000'000);
  fs.close();
}

TEST_F(OverlayMarksTest, ChangeNothingInAFileThatIsOnlyRead) {
  InodeNumber folder = 0;
  {
    FileSystem fs = open(Access::read_write);
    folder = make_marked_folder(fs);
    fs.close();
  }
  {
    FileSystem fs = open(Access::read_only);
    use_kernel_marks(fs, folder);
    EXPECT_TRUE(is_whiteout(fs, folder, "gone"));
    EXPECT_FALSE(fs.has_changes());
    fs.commit();
    fs.close();
  }
  FileSystem fs = open(Access::read_only);
  EXPECT_THAT(names(fs, folder), testing::Contains(".wh.gone"));
}

TEST_F(OverlayMarksTest, OfOtherProgramsAreKeptFromPrograms) {
  FileSystem fs = open(Access::read_write);
  const InodeNumber folder = fs.make(kRootInode, "folder", kFolder);
  set_layer_xattr(fs, folder, "user.overlay.opaque", "y");
  set_layer_xattr(fs, folder, "user.own", "value");
  EXPECT_THAT(layer_xattr_names(fs, folder),
              UnorderedElementsAre("user.overlay.opaque", "user.own"));
  EXPECT_EQ(fs.find_xattr(folder, "user.fuseoverlayfs.opaque"), "y");
  EXPECT_EQ(find_layer_xattr(fs, folder, "user.fuseoverlayfs.opaque"), std::nullopt);
  try {
    set_layer_xattr(fs, folder, "user.fuseoverlayfs.opaque", "y");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.errno_value(), EOPNOTSUPP);
  }
  remove_layer_xattr(fs, folder, "user.overlay.opaque");
  EXPECT_THAT(fs.xattr_names(folder), ElementsAre("user.own"));
}

TEST_F(OverlayMarksTest, AreFoundByAnyOfTheirNames) {
  FileSystem fs = open(Access::read_write);
  for (const char* name : {"trusted.overlay.opaque", "user.fuseoverlayfs.opaque"}) {
    const InodeNumber folder = fs.make(kRootInode, name, kFolder);
    fs.set_xattr(folder, name, "y");
    EXPECT_EQ(find_layer_xattr(fs, folder, "user.overlay.opaque"), "y") << name;
  }
}

}  // namespace
}  // namespace ext
