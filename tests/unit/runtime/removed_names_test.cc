// SPDX-License-Identifier: Apache-2.0
#include "runtime/removed_names.h"

#include <gtest/gtest.h>

namespace runtime {
namespace {

constexpr ext::InodeNumber kFolder = 20, kOne = 31, kOther = 32, kPresent = 40;
constexpr std::uint32_t kAsker = 700, kOtherAsker = 701;

TEST(RemovedNamesTest, KnowsWhoHadAName) {
  RemovedNames names;
  EXPECT_TRUE(names.empty());
  names.add(kFolder, "a", kOne, true);
  EXPECT_TRUE(names.contains(kFolder, "a"));
  EXPECT_FALSE(names.contains(kFolder, "b"));
  EXPECT_FALSE(names.contains(kFolder + 1, "a"));
  EXPECT_EQ(names.guess(kFolder, "a", std::nullopt, kAsker), kOne);
  EXPECT_EQ(names.guess(kFolder, "b", std::nullopt, kAsker), std::nullopt);
  EXPECT_EQ(names.guess(kFolder, "b", kPresent, kAsker), kPresent);
}

TEST(RemovedNamesTest, WhoeverIsToldTheWrongFileIsToldTheNext) {
  RemovedNames names;
  names.add(kFolder, "a", kOne, true);
  EXPECT_EQ(names.guess(kFolder, "a", kPresent, kAsker), kPresent);
  names.note_forgotten(kPresent);  // it was not meant
  EXPECT_EQ(names.guess(kFolder, "a", kPresent, kAsker), kOne);
  EXPECT_EQ(names.guess(kFolder, "a", kPresent, kAsker), kPresent) << "another question";
  names.note_forgotten(kOther);
  EXPECT_EQ(names.guess(kFolder, "a", kPresent, kAsker), kPresent)
      << "what else is forgotten means nothing";
}

TEST(RemovedNamesTest, AskersDoNotDisturbOneAnother) {
  RemovedNames names;
  names.add(kFolder, "a", kOne, true);
  names.add(kFolder, "b", kOther, true);
  EXPECT_EQ(names.guess(kFolder, "a", kPresent, kAsker), kPresent);
  EXPECT_EQ(names.guess(kFolder, "b", std::nullopt, kOtherAsker), kOther);
  names.note_forgotten(kPresent);
  EXPECT_EQ(names.guess(kFolder, "a", std::nullopt, kOtherAsker), kOne);
  EXPECT_EQ(names.guess(kFolder, "a", kPresent, kAsker), kOne);
}

TEST(RemovedNamesTest, WhoeverWasToldAllIsToldThemOnceMore) {
  RemovedNames names;
  names.add(kFolder, "a", kOne, true);
  for (int round = 0; round < 2; ++round)
    for (const ext::InodeNumber each : {kPresent, kOne}) {
      EXPECT_EQ(names.guess(kFolder, "a", kPresent, kAsker), each);
      names.note_forgotten(each);
    }
}

TEST(RemovedNamesTest, FilesKnownByTheNameComeFirst) {
  RemovedNames names;
  names.add(kFolder, "a", kOne, true);
  names.add(kFolder, "a", kOther, false);
  EXPECT_EQ(names.guess(kFolder, "a", std::nullopt, kAsker), kOne);
  // Confirmed once, the one is as unlikely as the other, which lost the name later.
  EXPECT_EQ(names.guess(kFolder, "a", std::nullopt, kAsker), kOther);
}

TEST(RemovedNamesTest, ForgetsFilesAndFolders) {
  RemovedNames names;
  names.add(kFolder, "a", kOne, true);
  names.add(kFolder, "a", kOther, true);
  names.add(kFolder + 1, "b", kOne, true);
  names.remove_all(kOne);
  EXPECT_EQ(names.guess(kFolder, "a", std::nullopt, kAsker), kOther);
  EXPECT_FALSE(names.contains(kFolder + 1, "b"));
  names.remove_in(kFolder);
  EXPECT_TRUE(names.empty());
}

}  // namespace
}  // namespace runtime
