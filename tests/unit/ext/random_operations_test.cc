// SPDX-License-Identifier: Apache-2.0
// Operations in random order beside a model in memory; also cut short by kills.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <random>
#include <string>

#include "tests/unit/ext/file_system_model.h"

namespace ext {
namespace {

class RandomOperationsTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Kinds, RandomOperationsTest, kKinds);

class JournaledFileSystemTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Kinds, JournaledFileSystemTest,
                         testing::Values("-t ext3 -b 1024", "-t ext3 -b 4096", "-t ext4 -b 1024",
                                         "-t ext4 -b 4096", "-t ext3 -I 128 -b 1024"));

TEST_P(RandomOperationsTest, RandomOperationsMatchAModel) {
  for (unsigned seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    const ExtImage image(GetParam());
    FileSystemModel model(seed);
    for (int session = 0; session < 4; ++session) {
      FileSystem fs = image.open();
      model.expect_same(fs);
      for (int i = 0; i < 250; ++i) {
        model.step(fs);
        if (i % 40 == 0) fs.commit();
      }
      model.expect_same(fs);
      fs.close();
      image.expect_sound();
    }
  }
}

std::string describe(FileSystem& fs) {
  std::string text;
  fs.list(kRootInode, 0, [&](const FileSystem::Entry& entry) {
    const Attributes found = fs.attributes(entry.inode);
    text += std::string(entry.name) + " " + std::to_string(found.link_count);
    if (S_ISREG(found.mode))
      text += " " + std::to_string(std::hash<std::string>()(read_all(fs, entry.inode)));
    text += "\n";
    return true;
  });
  return text;
}

// The process is killed at any moment, again and again; with a journal nothing else is needed.
TEST_P(JournaledFileSystemTest, SurvivesKills) {
  const ExtImage image(GetParam());
  std::mt19937 random(7);
  for (int round = 0; round < 25; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      FileSystem fs = image.open();
      FileSystemModel model(static_cast<unsigned>(round) + 100);
      for (unsigned i = 0;; ++i) {
        try {
          model.step(fs);
        } catch (const base::Error&) {
          // Names of earlier rounds are in the way.
        }
        if (i % 5 == 0) fs.commit();
      }
    }
    ::usleep(std::uniform_int_distribution<useconds_t>(1000, 60'000)(random));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    // What can be seen without changing the file is what there is once its journal is replayed.
    FileSystem before = image.open(Access::read_only);
    const std::string seen = describe(before);
    if (round % 2 == 0) {
      FileSystem fs = image.open();
      fs.close();
    } else {
      EXPECT_LE(exit_status_of("e2fsck -p " + image.path), 1);
    }
    image.expect_sound();
    FileSystem after = image.open(Access::read_only);
    EXPECT_EQ(describe(after), seen);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace ext
