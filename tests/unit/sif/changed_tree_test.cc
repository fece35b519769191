// SPDX-License-Identifier: Apache-2.0
#include "sif/changed_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace sif {
namespace {

using ::testing::HasSubstr;

// Trees told by paths: "a/" is a folder, "a/b" a file, "a/b-" a whiteout.
class ChangedTreeTest : public ::testing::Test {
 protected:
  static Inode& add(Tree& tree, const std::string& path, std::uint16_t mode = 0644) {
    Inode* folder = &tree.root();
    std::size_t begin = 0;
    for (std::size_t slash; (slash = path.find('/', begin)) != std::string::npos;
         begin = slash + 1) {
      Inode*& child = folder->children[path.substr(begin, slash - begin)];
      if (child == nullptr) child = &tree.make(FileType::directory, 0755);
      folder = child;
    }
    if (begin == path.size()) {
      folder->mode = mode;
      return *folder;
    }
    std::string name = path.substr(begin);
    const bool whiteout = name.ends_with('-');
    if (whiteout) name.pop_back();
    Inode& made = tree.make(whiteout ? FileType::char_device : FileType::regular, mode);
    folder->children[name] = &made;
    return made;
  }

  static void list(const Inode& folder, const std::string& path, std::string& out) {
    for (const auto& [name, child] : folder.children) {
      const bool is_folder = child->type == FileType::directory;
      out += path + name + (is_folder ? "/ " : " ");
      if (is_folder) list(*child, path + name + "/", out);
    }
  }
  std::string result() {
    apply_changes(image_, upper_);
    std::string out;
    list(image_.root(), "", out);
    return out;
  }

  Tree image_, upper_;
};

TEST_F(ChangedTreeTest, AddsReplacesAndRemoves) {
  for (const char* path : {"a/one", "a/two", "a/deep/x", "b/file", "c"}) add(image_, path);
  Inode& replaced = add(upper_, "a/one");
  for (const char* path : {"a/two-", "a/deep/y", "b-", "c/now a folder", "new/", "nothing-"})
    add(upper_, path);
  EXPECT_EQ(result(), "a/ a/deep/ a/deep/x a/deep/y a/one c/ c/now a folder new/ ");
  EXPECT_EQ(image_.root().children["a"]->children["one"], &replaced);
}

TEST_F(ChangedTreeTest, OpaqueFoldersHideWhatIsBelow) {
  for (const char* prefix : {"user.", "trusted."}) {
    Tree image, upper;
    for (const char* path : {"a/old", "a/sub/old", "b/old"}) add(image, path);
    add(upper, "a/", 0700).xattrs = {{std::string(prefix) + "overlay.opaque", "y"},
                                     {std::string(prefix) + "overlay.impure", "y"},
                                     {std::string(prefix) + "overlay.overlay.own", "x"},
                                     {"user.mine", "kept"}};
    for (const char* path : {"a/new", "a/old-", "a/sub/new"}) add(upper, path);
    add(upper, "b/", 0700).xattrs = {{std::string(prefix) + "overlay.opaque", "x"}};
    apply_changes(image, upper);
    std::string out;
    list(image.root(), "", out);
    EXPECT_EQ(out, "a/ a/new a/sub/ a/sub/new b/ b/old ");
    EXPECT_EQ(image.root().children["a"]->xattrs,
              (std::map<std::string, std::string>{{"user.mine", "kept"},
                                                  {std::string(prefix) + "overlay.own", "x"}}));
  }
}

TEST_F(ChangedTreeTest, MarksOfFuseOverlayfsAreFilesToo) {
  for (const char* path : {"a/old", "a/kept/", "b/gone", "b/kept", "c"}) add(image_, path);
  for (const char* path :
       {"a/.wh..wh..opq", "a/new", "b/.wh.gone", ".wh.c", ".wh..wh..opq", "d/.wh..wh..opq"})
    add(upper_, path);
  EXPECT_EQ(result(), "a/ a/new b/ b/kept d/ ");
}

TEST_F(ChangedTreeTest, FoldersHaveTheUppersMetadata) {
  add(image_, "a/", 0755).xattrs = {{"user.old", "x"}};
  add(image_, "a/file");
  Inode& changed = add(upper_, "a/", 0711);
  changed.uid = 5;
  changed.gid = 6;
  changed.mtime = 7;
  upper_.root().mode = 0700;
  upper_.root().mtime = 8;
  EXPECT_EQ(result(), "a/ a/file ");
  const Inode& folder = *image_.root().children["a"];
  EXPECT_EQ(std::tie(folder.mode, folder.uid, folder.gid, folder.mtime),
            std::make_tuple(0711, 5, 6, 7));
  EXPECT_TRUE(folder.xattrs.empty());
  EXPECT_EQ(image_.root().mode, 0700);
  EXPECT_EQ(image_.root().mtime, 8);
}

TEST_F(ChangedTreeTest, NamesOfOneFileStaySo) {
  Inode& file = add(upper_, "a/one");
  file.xattrs = {{"user.overlay.origin", "x"}, {"user.overlay.overlay.redirect", "own"}};
  upper_.root().children["two"] = &file;
  EXPECT_EQ(result(), "a/ a/one two ");
  EXPECT_EQ(image_.root().children["two"], image_.root().children["a"]->children["one"]);
  EXPECT_EQ(file.xattrs, (std::map<std::string, std::string>{{"user.overlay.redirect", "own"}}));
}

TEST_F(ChangedTreeTest, WhatRefersToOtherFilesIsRefused) {
  for (const char* name : {"user.overlay.redirect", "trusted.overlay.metacopy"}) {
    Tree image, upper;
    add(upper, "a/file").xattrs = {{name, ""}};
    try {
      apply_changes(image, upper);
      FAIL();
    } catch (const base::Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(name));
    }
  }
}

}  // namespace
}  // namespace sif
