// SPDX-License-Identifier: Apache-2.0
// What FileSystem's operations do and refuse, and what is left of those that fail.
#include "ext/file_system.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <vector>

#include "base/error.h"
#include "tests/unit/ext/ext_image.h"

namespace ext {
namespace {

class FileSystemTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Kinds, FileSystemTest, kKinds);

TEST_P(FileSystemTest, KeepsWhatWasMade) {
  const ExtImage image(GetParam());
  const std::string text(70000, 'x');
  {
    FileSystem fs = image.open();
    const InodeNumber folder = fs.make(kRootInode, "folder", kFolder);
    const InodeNumber file = fs.make(folder, "file", kFile);
    write_text(fs, file, 5, text);
    fs.set_xattr(file, "user.note", "value");
    fs.link(file, kRootInode, "other name");
    fs.make_symlink(kRootInode, "short", "folder/file", kFile);
    fs.make_symlink(kRootInode, "long", std::string(500, 'l'), kFile);
    fs.make(kRootInode, "device", {S_IFCHR | 0600, 0, 0, 0x12345});
    AttributeChanges changes;
    changes.mode = 0600;
    changes.uid = 100000;
    changes.gid = 70000;
    changes.modified = Time{1'700'000'000, 0};
    fs.change(file, changes);
    fs.close();
  }
  image.expect_sound();
  FileSystem fs = image.open(Access::read_only);
  const InodeNumber file = *fs.find_entry(*fs.find_entry(kRootInode, "folder"), "file");
  EXPECT_EQ(read_all(fs, file), std::string(5, '\0') + text);
  EXPECT_EQ(fs.find_entry(kRootInode, "other name"), file);
  const Attributes found = fs.attributes(file);
  EXPECT_EQ(found.mode, static_cast<mode_t>(S_IFREG | 0600));
  EXPECT_EQ(found.link_count, 2U);
  EXPECT_EQ(found.uid, 100000U);
  EXPECT_EQ(found.gid, 70000U);
  EXPECT_EQ(found.modified.seconds, 1'700'000'000);
  EXPECT_EQ(fs.find_xattr(file, "user.note"), "value");
  EXPECT_EQ(fs.symlink_target(*fs.find_entry(kRootInode, "short")), "folder/file");
  EXPECT_EQ(fs.symlink_target(*fs.find_entry(kRootInode, "long")), std::string(500, 'l'));
  EXPECT_EQ(fs.attributes(*fs.find_entry(kRootInode, "device")).device, 0x12345U);
  EXPECT_EQ(errno_of_failure([&] { fs.make(kRootInode, "new", kFile); }), EROFS);
}

TEST_P(FileSystemTest, RefusesAsSystemCallsDo) {
  const ExtImage image(GetParam());
  FileSystem fs = image.open();
  const InodeNumber folder = fs.make(kRootInode, "folder", kFolder);
  const InodeNumber file = fs.make(folder, "file", kFile);
  const auto rename = [&](const char* from, const char* to, Rename how) {
    return errno_of_failure([&] { fs.rename(kRootInode, from, kRootInode, to, how, kFile); });
  };
  EXPECT_EQ(errno_of_failure([&] { fs.make(folder, "file", kFile); }), EEXIST);
  EXPECT_EQ(errno_of_failure([&] { fs.make(file, "below", kFile); }), ENOTDIR);
  EXPECT_EQ(errno_of_failure([&] { fs.remove_directory(kRootInode, "folder"); }), ENOTEMPTY);
  EXPECT_EQ(errno_of_failure([&] { fs.unlink(kRootInode, "folder"); }), EISDIR);
  EXPECT_EQ(errno_of_failure([&] { fs.unlink(kRootInode, "absent"); }), ENOENT);
  EXPECT_EQ(errno_of_failure([&] { fs.make(kRootInode, std::string(256, 'n'), kFile); }),
            ENAMETOOLONG);
  fs.make(kRootInode, "plain", kFile);
  EXPECT_EQ(rename("plain", "folder", Rename::replace), EISDIR);
  EXPECT_EQ(rename("folder", "plain", Rename::replace), ENOTDIR);
  EXPECT_EQ(rename("folder", "plain", Rename::no_replace), EEXIST);
  EXPECT_EQ(rename("absent", "plain", Rename::exchange), ENOENT);
  fs.close();
  image.expect_sound();
}

TEST_P(FileSystemTest, ExchangesAndLeavesWhiteouts) {
  const ExtImage image(GetParam());
  FileSystem fs = image.open();
  const InodeNumber one = fs.make(kRootInode, "one", kFolder);
  const InodeNumber two = fs.make(one, "two", kFolder);
  const InodeNumber file = fs.make(kRootInode, "file", kFile);
  fs.rename(one, "two", kRootInode, "file", Rename::exchange, kFile);
  EXPECT_EQ(fs.find_entry(one, "two"), file);
  EXPECT_EQ(fs.find_entry(kRootInode, "file"), two);
  EXPECT_EQ(fs.find_entry(two, ".."), kRootInode);
  fs.rename(one, "two", kRootInode, "moved", Rename::leave_whiteout, {S_IFCHR, 0, 0, 0});
  const Attributes whiteout = fs.attributes(*fs.find_entry(one, "two"));
  EXPECT_TRUE(S_ISCHR(whiteout.mode));
  EXPECT_EQ(whiteout.device, 0U);
  fs.close();
  image.expect_sound();
}

TEST_P(FileSystemTest, FullImagesStaySound) {
  const ExtImage image(GetParam());
  FileSystem fs = image.open();
  const std::string piece(100'000, 'p');
  int failure = 0;
  for (int i = 0; failure == 0 && i < 1000; ++i) {
    failure = errno_of_failure([&] {
      const InodeNumber file = fs.make(kRootInode, "file" + std::to_string(i), kFile);
      write_text(fs, file, 0, piece);
    });
  }
  EXPECT_EQ(failure, ENOSPC);
  failure = 0;
  for (int i = 0; failure == 0 && i < 20'000; ++i)
    failure = errno_of_failure(
        [&] { fs.make(kRootInode, std::string(200, 'n') + std::to_string(i), kFile); });
  EXPECT_EQ(failure, ENOSPC);
  EXPECT_EQ(errno_of_failure([&] { fs.make(kRootInode, "folder", kFolder); }), ENOSPC);
  const InodeNumber gone = fs.unlink(kRootInode, "file0");
  fs.drop(gone);
  fs.make(kRootInode, "again", kFolder);
  fs.close();
  image.expect_sound();
}

// What needs several blocks finds only some of them: then nothing of it was done.
TEST_P(FileSystemTest, OperationsThatFindTooLittleSpaceAreUndone) {
  const std::string long_name(250, 'n'), block(4096, 'b');
  const std::vector<std::function<void(FileSystem&, InodeNumber folder, InodeNumber file)>> wants =
      {[&](FileSystem& fs, InodeNumber, InodeNumber file) {
         write_text(fs, file, 12 * 1024, block);
       },
       [&](FileSystem& fs, InodeNumber, InodeNumber file) {
         write_text(fs, file, (12 + 256 + 256) * 1024, block);
       },
       [&](FileSystem& fs, InodeNumber folder, InodeNumber) {
         fs.make(folder, long_name + "d", kFolder);
       },
       [&](FileSystem& fs, InodeNumber folder, InodeNumber) {
         fs.make_symlink(folder, long_name + "l", std::string(300, 't'), kFile);
       },
       [&](FileSystem& fs, InodeNumber folder, InodeNumber) {
         fs.rename(kRootInode, "file", folder, long_name + "r", Rename::leave_whiteout,
                   {S_IFCHR, 0, 0, 0});
       },
       [&](FileSystem& fs, InodeNumber, InodeNumber file) {
         fs.set_xattr(file, "user.x", std::string(700, 'x'));
       }};
  for (std::uint64_t left = 0; left < 4; ++left) {
    const ExtImage image(GetParam());
    FileSystem fs = image.open();
    const InodeNumber folder = fs.make(kRootInode, "folder", kFolder);
    for (int i = 0; i < 16; ++i) fs.make(folder, std::string(240, 'a') + std::to_string(i), kFile);
    const InodeNumber file = fs.make(kRootInode, "file", kFile);
    write_text(fs, file, 0, std::string(12 * 1024, 'f'));
    const InodeNumber filler = fs.make(kRootInode, "filler", kFile);
    const std::uint64_t block_size = fs.statistics().block_size;
    for (std::uint64_t i = 0; fs.statistics().free_blocks > left; ++i) {
      const std::uint64_t at = i * block_size;
      if (errno_of_failure([&] { write_text(fs, filler, at, "f"); }) != 0) break;
    }
    for (const auto& want : wants) {
      const std::uint64_t free = fs.statistics().free_blocks;
      const int failure = errno_of_failure([&] { want(fs, folder, file); });
      if (failure == 0) continue;
      EXPECT_EQ(failure, ENOSPC);
      EXPECT_EQ(fs.statistics().free_blocks, free);
    }
    fs.close();
    image.expect_sound();
  }
}

TEST_P(FileSystemTest, OrphansOfTheKilledAreFreed) {
  const ExtImage image(GetParam());
  std::uint64_t free_blocks = 0;
  {
    FileSystem fs = image.open();
    free_blocks = fs.statistics().free_blocks;
    for (const char* name : {"one", "two", "three"}) {
      const InodeNumber file = fs.make(kRootInode, name, kFile);
      write_text(fs, file, 0, std::string(50'000, 'o'));
      fs.unlink(kRootInode, name);
    }
    fs.commit();  // and no close()
  }
  if (std::string(GetParam()).find("ext2") != std::string::npos) {
    EXPECT_LE(exit_status_of("e2fsck -fp " + image.path), 1);
  }
  FileSystem fs = image.open();
  EXPECT_EQ(fs.statistics().free_blocks, free_blocks);
  fs.close();
  image.expect_sound();
}

}  // namespace
}  // namespace ext
