// SPDX-License-Identifier: Apache-2.0
// File systems that are damaged, by chance or on purpose.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/syscalls.h"
#include "tests/unit/ext/file_system_model.h"

namespace ext {
namespace {

using testing::HasSubstr;

TEST(FileSystemErrors, NameTheCureOfWhatIsUnsound) {
  const ExtImage image("-t ext3 -b 1024");
  EXPECT_EQ(exit_status_of("debugfs -w -R 'set_super_value state 2' " + image.path), 0);
  try {
    image.open();
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("its file system has errors"));
    EXPECT_THAT(error.hint(), HasSubstr("e2fsck -fp " + image.path));
  }
  image.open(Access::read_only);
}

TEST(FileSystemErrors, AChainOfOrphansEnds) {
  const ExtImage image("-t ext3 -b 1024");
  InodeNumber file = 0;
  {
    FileSystem fs = image.open();
    file = fs.make(kRootInode, "file", kFile);
    fs.close();
  }
  const std::string number = std::to_string(file);
  EXPECT_EQ(exit_status_of("printf 'ssv last_orphan " + number + "\\nsif file dtime " + number +
                           "\\n' | debugfs -w " + image.path),
            0);
  try {
    image.open();
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("its chain of orphans is a loop"));
  }
}

TEST(FileSystemErrors, WhatTheJournalBringsIsCheckedToo) {
  const ExtImage image("-t ext3 -b 1024");
  std::vector<std::byte> block(1024);
  image.partition().read(1024, block);
  block[97] |= std::byte{0x80};  // the feature inline_data
  const std::string changed = image.path + ".block";
  base::write_all(base::open_file(changed, O_WRONLY | O_CREAT, 0600).get(), block, changed);
  EXPECT_EQ(
      exit_status_of("printf 'jo\\njw -b 1 " + changed + "\\njc\\n' | debugfs -w " + image.path),
      0);
  ::unlink(changed.c_str());
  for (const Access access : {Access::read_only, Access::read_write}) {
    try {
      image.open(access);
      ADD_FAILURE();
    } catch (const base::Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("inline_data"));
    }
  }
}

// Blocks beyond the file system, in a file that is removed: the rest goes on.
TEST(FileSystemErrors, WhatCannotBeFreedHoldsUpNothing) {
  const ExtImage image("-t ext3 -b 1024");
  {
    FileSystem fs = image.open();
    write_text(fs, fs.make(kRootInode, "broken", kFile), 0, std::string(30'000, 'b'));
    fs.close();
  }
  EXPECT_EQ(exit_status_of("debugfs -w -R 'sif broken block[IND] 7000000' " + image.path), 0);
  {
    FileSystem fs = image.open();
    const InodeNumber broken = fs.unlink(kRootInode, "broken");
    EXPECT_NE(errno_of_failure([&] { fs.drop(broken); }), 0);
    write_text(fs, fs.make(kRootInode, "kept", kFile), 0, "kept");
    fs.close();
  }
  FileSystem fs = image.open(Access::read_only);
  EXPECT_EQ(read_all(fs, fs.find_entry(kRootInode, "kept").value()), "kept");
  EXPECT_EQ(fs.find_entry(kRootInode, "broken"), std::nullopt);
}

TEST(FileSystemErrors, CountsOfNamesDoNotWrap) {
  const ExtImage image("-t ext4 -b 1024");
  {
    FileSystem fs = image.open();
    for (const char* name : {"many", "folder"}) fs.make(kRootInode, name, kFolder);
    fs.make(fs.find_entry(kRootInode, "many").value(), "inner", kFolder);
    fs.close();
  }
  EXPECT_EQ(exit_status_of("debugfs -w -R 'sif many links_count 1' " + image.path), 0);
  FileSystem fs = image.open();
  const InodeNumber many = fs.find_entry(kRootInode, "many").value();
  fs.make(many, "another", kFolder);
  fs.drop(fs.remove_directory(many, "inner"));
  fs.rename(kRootInode, "folder", many, "moved", Rename::replace, kFile);
  EXPECT_EQ(fs.attributes(many).link_count, 1U);
  AttributeChanges too_large;
  too_large.size = std::uint64_t{1} << 50;
  const InodeNumber file = fs.make(many, "file", kFile);
  EXPECT_EQ(errno_of_failure([&] { fs.change(file, too_large); }), EFBIG);
  fs.close();
}

TEST(FileSystemErrors, RandomDamageIsNeverFatal) {
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    const ExtImage image(round % 2 == 0 ? "-t ext3 -b 1024" : "-t ext4 -b 4096");
    {
      FileSystem fs = image.open();
      FileSystemModel model(static_cast<unsigned>(round));
      for (int i = 0; i < 60; ++i) model.step(fs);
      fs.close();
    }
    for (int i = 0; i < 200; ++i) {
      const std::uint64_t at =
          std::uniform_int_distribution<std::uint64_t>(1024, i % 2 ? 400'000 : 4096)(random);
      const auto value = static_cast<std::byte>(random());
      image.partition().write(at, std::span(&value, 1));
    }
    const Access access = round % 3 == 0 ? Access::read_write : Access::read_only;
    try {
      FileSystem fs = image.open(access);
      std::vector<InodeNumber> folders = {kRootInode};
      for (std::size_t i = 0; i < folders.size() && i < 50; ++i) {
        try {
          fs.list(folders[i], 0, [&](const FileSystem::Entry& entry) {
            try {
              const Attributes found = fs.attributes(entry.inode);
              if (S_ISDIR(found.mode) && entry.name.front() != '.') folders.push_back(entry.inode);
              std::vector<std::byte> bytes(5000);
              if (S_ISREG(found.mode)) fs.read(entry.inode, 100, bytes);
              fs.xattr_names(entry.inode);
            } catch (const base::Error&) {
            }
            return true;
          });
        } catch (const base::Error&) {
        }
      }
      if (access == Access::read_write) {
        FileSystemModel model(9);
        for (int i = 0; i < 50; ++i) model.step(fs);
        fs.close();
      }
    } catch (const base::Error& error) {
      EXPECT_TRUE(error.errno_value() != 0 || !error.hint().empty()) << error.what();
    }
  }
}

}  // namespace
}  // namespace ext
