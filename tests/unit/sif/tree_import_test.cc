// SPDX-License-Identifier: Apache-2.0
#include "sif/tree_import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/fails_with.h"

namespace sif {
namespace {

using unit::fails_with;

using Import = TreeImport<int>;

constexpr int kRoot = 1;

// An image whose directories are the even numbers and the root, which has what `list` visits.
void import(const std::function<void(const Import::EntryVisitor&)>& list, Tree& tree) {
  const Import::Image image{"format",
                            [](int ref, Inode& inode) {
                              const bool is_directory = ref == kRoot || ref % 2 == 0;
                              inode.type = is_directory ? FileType::directory : FileType::regular;
                            },
                            [&](int ref, const Import::EntryVisitor& visit) {
                              if (ref == kRoot) list(visit);
                            }};
  Import(image, kRoot, tree);
}

using Visitor = Import::EntryVisitor;

TEST(TreeImport, NamesOfOneInodeAreHardLinks) {
  Tree tree;
  const auto list = [](const Visitor& visit) {
    visit("a", 3);
    visit("b", 3);
    visit("directory", 2);
  };
  import(list, tree);
  const auto& children = tree.root().children;
  ASSERT_EQ(children.size(), 3U);
  EXPECT_EQ(children.at("a"), children.at("b"));
  EXPECT_EQ(children.at("directory")->type, FileType::directory);
}

TEST(TreeImport, RefusesLoopsOfDirectories) {
  for (const int again : {kRoot, 2}) {
    Tree tree;
    const auto list = [&](const Visitor& visit) {
      visit("a", 2);
      visit("b", again);
    };
    EXPECT_THAT([&] { import(list, tree); },
                fails_with("corrupt format: a directory with two names"));
  }
}

TEST(TreeImport, LimitsWhatAFewBytesMaySayAgainAndAgain) {
  Tree tree;
  const std::string name(16 << 20, 'n');
  const auto long_names = [&](const Visitor& visit) {
    for (int i = 0; i < 33; ++i) visit(name, 3);
  };
  EXPECT_THAT([&] { import(long_names, tree); }, fails_with("bytes of names"));
  const auto many_names = [](const Visitor& visit) {
    for (std::uint64_t i = 0; i <= kMaxTreeEntries; ++i) visit("n", 3);
  };
  EXPECT_THAT([&] { import(many_names, tree); }, fails_with("of more than 8000000 files"));
}

}  // namespace
}  // namespace sif
