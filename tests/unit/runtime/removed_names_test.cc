// SPDX-License-Identifier: Apache-2.0
#include "runtime/removed_names.h"

#include <gtest/gtest.h>

namespace runtime {
namespace {

constexpr ext::InodeNumber kFolder = 20, kOne = 31, kOther = 32, kPresent = 40;

TEST(RemovedNamesTest, KnowsWhoHadAName) {
  RemovedNames names;
  EXPECT_TRUE(names.empty());
  names.add(kFolder, "a", kOne, true);
  EXPECT_TRUE(names.contains(kFolder, "a"));
  EXPECT_FALSE(names.contains(kFolder, "b"));
  EXPECT_FALSE(names.contains(kFolder + 1, "a"));
  EXPECT_EQ(names.guess(kFolder, "a", std::nullopt), kOne);
  EXPECT_EQ(names.guess(kFolder, "b", std::nullopt), std::nullopt);
  EXPECT_EQ(names.guess(kFolder, "b", kPresent), kPresent);
}

TEST(RemovedNamesTest, WhoeverIsToldTheWrongFileIsToldTheNext) {
  RemovedNames names;
  names.add(kFolder, "a", kOne, true);
  EXPECT_EQ(names.guess(kFolder, "a", kPresent), kPresent);
  names.note_forgotten(kPresent);  // it was not meant
  EXPECT_EQ(names.guess(kFolder, "a", kPresent), kOne);
  EXPECT_EQ(names.guess(kFolder, "a", kPresent), kPresent) << "another question";
  names.note_forgotten(kOther);
  EXPECT_EQ(names.guess(kFolder, "a", kPresent), kPresent)
      << "what else is forgotten means nothing";
}

TEST(RemovedNamesTest, FilesKnownByTheNameComeFirst) {
  RemovedNames names;
  names.add(kFolder, "a", kOne, true);
  names.add(kFolder, "a", kOther, false);
  EXPECT_EQ(names.guess(kFolder, "a", std::nullopt), kOne);
  // Confirmed once, the one is as unlikely as the other, which lost the name later.
  EXPECT_EQ(names.guess(kFolder, "a", std::nullopt), kOther);
}

TEST(RemovedNamesTest, ForgetsFilesAndFolders) {
  RemovedNames names;
  names.add(kFolder, "a", kOne, true);
  names.add(kFolder, "a", kOther, true);
  names.add(kFolder + 1, "b", kOne, true);
  names.remove_all(kOne);
  EXPECT_EQ(names.guess(kFolder, "a", std::nullopt), kOther);
  EXPECT_FALSE(names.contains(kFolder + 1, "b"));
  names.remove_in(kFolder);
  EXPECT_TRUE(names.empty());
}

}  // namespace
}  // namespace runtime
