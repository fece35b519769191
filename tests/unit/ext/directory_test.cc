// SPDX-License-Identifier: Apache-2.0
// Directories of thousands of names.
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

#include "tests/unit/ext/ext_image.h"

namespace ext {
namespace {

class DirectoryTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Kinds, DirectoryTest, kKinds);

// With names of many lengths, so that room is left and used in many places.
class LargeDirectory {
 public:
  LargeDirectory(FileSystem& fs, InodeNumber folder) : fs_(fs), folder_(folder) {}

  std::string random_name(std::mt19937& random) {
    const std::string number = std::to_string(random() % 3000);
    return number + std::string(std::stoul(number) % 90, 'n');
  }
  void change(std::mt19937& random, InodeNumber file) {
    const std::string name = random_name(random), other = random_name(random);
    const auto found = names_.find(name);
    EXPECT_EQ(fs_.find_entry(folder_, name).has_value(), found != names_.end()) << name;
    if (found == names_.end()) {
      fs_.link(file, folder_, name);
      names_.insert(name);
    } else if (random() % 4 == 0 && !names_.contains(other)) {
      fs_.rename(folder_, name, folder_, other, Rename::no_replace, kFile);
      names_.erase(found);
      names_.insert(other);
    } else if (random() % 2 == 0) {
      EXPECT_EQ(fs_.unlink(folder_, name), file);
      names_.erase(found);
    }
  }
  void expect_whole() {
    std::set<std::string> listed;
    fs_.list(folder_, 0, [&](const FileSystem::Entry& entry) {
      return entry.name.starts_with('.') || listed.emplace(entry.name).second;
    });
    EXPECT_EQ(listed, names_);
  }

 private:
  FileSystem& fs_;
  const InodeNumber folder_;
  std::set<std::string> names_;
};

TEST_P(DirectoryTest, LargeDirectoriesAreIndexed) {
  const ExtImage image(GetParam());
  std::mt19937 random(7);
  InodeNumber folder = 0, file = 0;
  {
    FileSystem fs = image.open();
    folder = fs.make(kRootInode, "folder", kFolder);
    file = fs.make(kRootInode, "file", kFile);
    LargeDirectory large(fs, folder);
    for (int i = 0; i < 20000; ++i) large.change(random, file);
    large.expect_whole();
    // What is undone is not remembered.
    EXPECT_NE(errno_of_failure([&] {
                for (;;)
                  fs.make_symlink(folder, large.random_name(random) + "x", std::string(900, 'x'),
                                  kFile);
              }),
              0);
    fs.close();
  }
  image.expect_sound();
}

TEST_P(DirectoryTest, HashedDirectoriesTakeNames) {
  const ExtImage image(GetParam());
  constexpr int kNames = 3000;
  InodeNumber folder = 0, file = 0;
  const auto name = [](int number) { return std::to_string(number) + ".of many names"; };
  {
    FileSystem fs = image.open();
    folder = fs.make(kRootInode, "folder", kFolder);
    file = fs.make(kRootInode, "file", kFile);
    for (int i = 0; i < kNames; ++i) fs.link(file, folder, name(i));
    fs.close();
  }
  EXPECT_LE(exit_status_of("e2fsck -fyD " + image.path), 1);
  {
    FileSystem fs = image.open();
    for (int i = 0; i < kNames; i += 3) fs.unlink(folder, name(i));
    for (int i = 0; i < kNames; ++i)
      EXPECT_EQ(fs.find_entry(folder, name(i)).has_value(), i % 3 > 0);
    for (int i = 0; i < kNames; i += 3) fs.link(file, folder, name(i) + " anew");
    fs.link(file, folder, std::string(255, 'l'));
    fs.close();
  }
  image.expect_sound();
  FileSystem fs = image.open();
  for (int i = 0; i < kNames; ++i)
    EXPECT_EQ(fs.find_entry(folder, name(i) + (i % 3 > 0 ? "" : " anew")), file) << name(i);
}

}  // namespace
}  // namespace ext
