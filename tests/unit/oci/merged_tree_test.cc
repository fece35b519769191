// SPDX-License-Identifier: Apache-2.0
// Layer sequences as rows: each layer is a list of members, the result a list of what is in the
// tree.
//   d/      folder           d/a=TEXT  file           s->TARGET  symbolic link    b==a  hard link
//   -d/a    whiteout of d/a  *d        opaque marker  p|         FIFO             z!    device 0:0
#include "oci/merged_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <sstream>

#include "memory_tar.h"
#include "tests/unit/fails_with.h"

namespace oci {
namespace {

using testing::HasSubstr;
using unit::fails_with;

std::string marker(const std::string& path, const std::string& prefix) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return prefix + path;
  return path.substr(0, slash + 1) + prefix + path.substr(slash + 1);
}

// A layer and the bytes of its files.
struct TestLayer {
  std::unique_ptr<MemorySource> source;
  Layer layer;
};

TarEntry parse_member(const std::string& text, std::string& contents) {
  TarEntry entry;
  entry.path = text;
  entry.mode = 0644;
  const auto split = [&](const std::string& separator, EntryType type) {
    const std::size_t at = text.find(separator);
    if (at == std::string::npos) return false;
    entry.type = type;
    entry.path = text.substr(0, at);
    entry.link_target = text.substr(at + separator.size());
    return true;
  };
  if (text[0] == '-') {
    entry.path = marker(text.substr(1), ".wh.");
  } else if (text[0] == '*') {
    entry.path = text.substr(1) + "/.wh..wh..opq";
  } else if (split("==", EntryType::hard_link) || split("->", EntryType::symlink) ||
             split("|", EntryType::fifo) || split("!", EntryType::char_device)) {
  } else if (split("=", EntryType::regular)) {
    entry.size = entry.link_target.size();
    if (entry.size > 0) entry.extents.push_back({0, contents.size(), entry.size});
    contents += entry.link_target;
  } else if (text.ends_with('/')) {
    entry.type = EntryType::directory;
    entry.mode = 0700;
  }
  return entry;
}

TestLayer make_layer(const std::string& members) {
  std::string contents;
  TestLayer result;
  std::istringstream words(members);
  for (std::string word; words >> word;) {
    result.layer.entries.push_back(parse_member(word, contents));
  }
  result.source = std::make_unique<MemorySource>(contents);
  result.layer.source = result.source.get();
  result.layer.name = "layer";
  return result;
}

std::string describe(const std::string& path, const sif::Inode& inode,
                     std::map<const sif::Inode*, std::string>& first_names) {
  using sif::FileType;
  if (inode.type == FileType::directory) return path + "/";
  const auto [first, is_new] = first_names.try_emplace(&inode, path);
  if (!is_new) return path + "==" + first->second;
  if (inode.type == FileType::symlink) return path + "->" + inode.symlink_target;
  if (inode.type == FileType::fifo) return path + "|";
  if (inode.type == FileType::char_device) return path + "!";
  return path + "=" + content_of(inode.source, inode.size, inode.extents);
}

void list(const sif::Inode& directory, const std::string& prefix,
          std::map<const sif::Inode*, std::string>& first_names, std::string& out) {
  for (const auto& [name, child] : directory.children) {
    out += (out.empty() ? "" : " ") + describe(prefix + name, *child, first_names);
    if (child->type == sif::FileType::directory)
      list(*child, prefix + name + "/", first_names, out);
  }
}

class Merge {
 public:
  explicit Merge(const std::vector<std::string>& layers) {
    for (const std::string& members : layers) {
      layers_.push_back(make_layer(members));
      apply_layer(tree_, layers_.back().layer);
    }
  }
  std::string listing() const {
    std::map<const sif::Inode*, std::string> first_names;
    std::string out;
    list(tree_.root(), "", first_names, out);
    return out;
  }
  const sif::Inode& at(const std::string& name) const { return *tree_.root().children.at(name); }
  sif::Tree& tree() { return tree_; }

 private:
  sif::Tree tree_;
  std::deque<TestLayer> layers_;
};

struct Row {
  const char* meaning;
  std::vector<std::string> layers;
  const char* result;
};

void check(const std::vector<Row>& rows) {
  for (const Row& row : rows) EXPECT_EQ(Merge(row.layers).listing(), row.result) << row.meaning;
}

constexpr const char* kLower = "d/ d/a=A d/b=B d/s/ d/s/x=X f=F l->d";

TEST(MergedTree, Whiteouts) {
  check({
      {"a file", {kLower, "-d/a -f"}, "d/ d/b=B d/s/ d/s/x=X l->d"},
      {"a folder", {kLower, "-d"}, "f=F l->d"},
      {"a link, not its target", {kLower, "-l"}, "d/ d/a=A d/b=B d/s/ d/s/x=X f=F"},
      {"what is not there", {"a=1", "-b d/ -d/x"}, "a=1 d/"},
      {"in the lowest layer", {"-a d/ -d/x b=1"}, "b=1 d/"},
      {"then again in the same layer", {"a=1", "-a a=2"}, "a=2"},
      {"then a folder of that name: Docker shows the lower files again",
       {"d/ d/a=A", "-d d/ d/n=N"},
       "d/ d/a=A d/n=N"},
      {"after what it names", {"a=1 d/ d/a=A", "a=2 -a d/ d/n=N -d"}, "a=2 d/ d/n=N"},
      {"then a child without its folder", {"d/ d/a=A", "-d d/n=N"}, "d/ d/n=N"},
      {"then again above", {"a=1", "-a", "a=2"}, "a=2"},
      {"through a link of the same layer",
       {kLower, "t->d d/ t/.wh.a"},
       "d/ d/b=B d/s/ d/s/x=X f=F l->d t->d"},
      {"through a lower link, which becomes a folder", {"d/ d/a=A l->d", "l/.wh.a"}, "d/ d/a=A l/"},
      {"by a device 0:0", {kLower, "f! d!"}, "l->d"},
      {"by a hard link to a device 0:0", {"a=1 b=2", "a! b==a"}, ""},
      {"aufs leftovers", {"a=1 .wh..wh.plnk/ .wh..wh.aufs .wh..wh.orph/"}, "a=1"},
      {"aufs leftovers with content stay, as in Docker",
       {".wh..wh.plnk/1=x"},
       ".wh..wh.plnk/ .wh..wh.plnk/1=x"},
  });
}

TEST(MergedTree, OpaqueFolders) {
  check({
      {"before the new files", {kLower, "d/ *d d/n=N -f -l"}, "d/ d/n=N"},
      {"after the new files", {kLower, "d/ d/n=N *d -f -l"}, "d/ d/n=N"},
      {"before the folder itself", {kLower, "*d d/ d/n=N -f -l"}, "d/ d/n=N"},
      {"alone", {kLower, "*d -f -l"}, "d/"},
      {"in a lower layer only", {kLower, "*d -f -l", "d/ d/n=N"}, "d/ d/n=N"},
      {"nested", {kLower, "*d/s d/s/y=Y -f -l"}, "d/ d/a=A d/b=B d/s/ d/s/y=Y"},
      {"the root's is none", {"a=1", ".wh..wh..opq b=2"}, "a=1 b=2"},
      {"gone with its folder", {"d/ d/a=A", "*d d=file d/ d/n=N"}, "d/ d/a=A d/n=N"},
      {"over a file", {"f=F", "*f f/n=N"}, "f/ f/n=N"},
  });
}

TEST(MergedTree, KindsReplaceEachOther) {
  check({
      {"file over folder", {"d/ d/a=A", "d=file"}, "d=file"},
      {"and a folder again", {"d/ d/a=A", "d=file", "d/ d/n=N"}, "d/ d/n=N"},
      {"folder over file", {"f=F", "f/ f/n=N"}, "f/ f/n=N"},
      {"folder over link", {"d/ d/a=A l->d", "l/ l/n=N"}, "d/ d/a=A l/ l/n=N"},
      {"path through a lower link", {"d/ d/a=A l->d", "l/n=N"}, "d/ d/a=A l/ l/n=N"},
      {"path through a lower file", {"f=F", "f/n=N"}, "f/ f/n=N"},
      {"path through a link of the same layer",
       {"d/ l->d l/n=N k->/d k/m=M"},
       "d/ d/m=M d/n=N k->/d l->d"},
      {"links are followed inside the root",
       {"d/ e/ d/l->../../../e d/l/n=N"},
       "d/ d/l->../../../e e/ e/n=N"},
      {"a dangling link of the same layer",
       {"d/ d/a=A", "l->d/x l/n=N"},
       "d/ d/a=A d/x/ d/x/n=N l->d/x"},
      {"link over folder", {"d/ d/a=A", "d->e"}, "d->e"},
      {"the same path twice", {"a=1 a=2 a=3"}, "a=3"},
      {"all kinds in one layer", {"a=1 a/ a/x=X a->b a=2"}, "a=2"},
      {"names through what was replaced",
       {"a/ a/b/ a/b/x=X a->c c/ c/b/ a/b/y=Y"},
       "a->c c/ c/b/ c/b/y=Y"},
  });
}

TEST(MergedTree, HardLinks) {
  check({
      {"group", {"a=1 b==a c==b"}, "a=1 b==a c==a"},
      {"target replaced above", {"a=1 b==a", "a=2"}, "a=2 b=1"},
      {"target removed above", {"a=1 b==a", "-a"}, "b=1"},
      {"target replaced in the layer", {"a=1 b==a a=2"}, "a=2 b=1"},
      {"to a link, not through it", {"a=1 l->a m==l"}, "a=1 l->a m==l"},
      {"through a link", {"d/ d/a=1 l->d b==l/a"}, "b=1 d/ d/a==b l->d"},
      {"odd names", {"d/ d/a=1 b==/d/a c==./d/../d/a e==../../d/a"}, "b=1 c==b d/ d/a==b e==b"},
      {"to a lower file", {"a=1", "b==a"}, "a=1 b==a"},
      {"to a lower file that the layer removes after", {"a=1", "b==a -a"}, "b=1"},
      {"to a lower file that the layer replaces after", {"a=1", "b==a a=2"}, "a=2 b=1"},
      {"of a FIFO", {"p| q==p"}, "p| q==p"},
  });
}

TEST(MergedTree, Names) {
  check({
      {"dots and slashes",
       {"./ ./a=1 .//b/ b/./c=2 /d=3 x/../e=4 /../g=5"},
       "a=1 b/ b/c=2 d=3 e=4 g=5"},
      {"the root itself", {"./ . / a=1"}, "a=1"},
      {"no whiteouts", {".wh=1 x.wh.y=2"}, ".wh=1 x.wh.y=2"},
      {"empty layers", {"", "a=1", ""}, "a=1"},
  });
}

TEST(MergedTree, RejectsWhatNoFileSystemHolds) {
  const std::string deep_path = [] {
    std::string path;
    for (int i = 0; i < 2000; ++i) path += "d/";
    return path;
  }();
  const struct {
    std::vector<std::string> layers;
    std::string message;
  } rows[] = {
      {{"../a=1"}, "leads out of the image's root"},
      {{"d/../../a=1"}, "leads out of the image's root"},
      {{"f=F f/x=1"}, "'f' in its path is no folder"},
      {{"a->b b->a a/x=1"}, "too many symbolic links"},
      {{"b==a"}, "hard link to 'a', which is neither in this layer nor below"},
      {{"a=1 a==a"}, "hard link to 'a'"},
      {{"d/ b==d"}, "hard link to the folder"},
      {{"a=1", "b==."}, "hard link to '.'"},
      {{"l->"}, "symbolic link to a path of 0 bytes"},
      {{"l->" + std::string(4096, 'x')}, "symbolic link to a path of 4096 bytes"},
      {{".wh."}, "whiteout that names nothing"},
      {{"d/.wh.."}, "whiteout that names nothing"},
      {{std::string(256, 'n') + "=1"}, "name of more than 255 bytes"},
      {{std::string(256, 'n') + "/a=1"}, "name of more than 255 bytes"},
      {{deep_path + deep_path + "a=1"}, "path of more than 4095 bytes"},
      {{deep_path + " l->" + deep_path + " l/" + deep_path}, "more than 2048 folders"},
  };
  for (const auto& row : rows) {
    EXPECT_THAT([&] { Merge merge(row.layers); }, fails_with(row.message));
  }
}

// Metadata need more than the short notation.
TarEntry entry_of(const std::string& path, EntryType type, std::uint16_t mode, std::uint32_t uid,
                  std::int64_t mtime) {
  TarEntry entry;
  entry.path = path;
  entry.type = type;
  entry.mode = mode;
  entry.uid = entry.gid = uid;
  entry.mtime = mtime;
  return entry;
}

sif::Tree merge_entries(const std::vector<std::vector<TarEntry>>& layers) {
  sif::Tree tree;
  for (const auto& entries : layers) apply_layer(tree, {nullptr, "layer", entries});
  return tree;
}

TEST(MergedTree, UppermostFolderGivesMetadata) {
  TarEntry lower = entry_of("d", EntryType::directory, 0700, 1, 100);
  lower.xattrs = {{"user.low", "1"}};
  TarEntry upper = entry_of("d/", EntryType::directory, 01755, 2, 50);
  upper.xattrs = {{"user.up", "2"}};
  sif::Tree tree = merge_entries({{lower}, {upper}});
  const sif::Inode& folder = *tree.root().children.at("d");
  EXPECT_EQ(folder.mode, 01755);
  EXPECT_EQ(folder.uid, 2u);
  EXPECT_EQ(folder.mtime, 50);
  EXPECT_THAT(folder.xattrs, testing::ElementsAre(testing::Pair("user.up", "2")));
}

TEST(MergedTree, ImpliedFolderIsDockersWithTheLowerTime) {
  sif::Tree tree = merge_entries({{entry_of("tmp", EntryType::directory, 01777, 7, 100)},
                                  {entry_of("tmp/x", EntryType::regular, 0644, 0, 5)}});
  const sif::Inode& folder = *tree.root().children.at("tmp");
  EXPECT_EQ(folder.mode, 0755);
  EXPECT_EQ(folder.uid, 0u);
  EXPECT_EQ(folder.mtime, 100);
}

TEST(MergedTree, HardLinkEntryChangesTheInode) {
  TarEntry file = entry_of("a", EntryType::regular, 0644, 1, 1);
  file.xattrs = {{"security.capability", "cap"}, {"user.kept", "1"}};
  TarEntry link = entry_of("b", EntryType::hard_link, 0600, 2, 9);
  link.link_target = "a";
  sif::Tree tree = merge_entries({{file, link}});
  const sif::Inode& inode = *tree.root().children.at("a");
  EXPECT_EQ(inode.mode, 0600);
  EXPECT_EQ(inode.uid, 2u);
  EXPECT_EQ(inode.mtime, 9);
  EXPECT_THAT(inode.xattrs, testing::ElementsAre(testing::Pair("user.kept", "1")));
}

TEST(MergedTree, HardLinkEntryToSymlinkChangesOnlyTheOwner) {
  TarEntry symlink = entry_of("s", EntryType::symlink, 0600, 1, -3);
  symlink.link_target = "x";
  TarEntry link = entry_of("t", EntryType::hard_link, 0600, 2, 9);
  link.link_target = "s";
  sif::Tree tree = merge_entries({{symlink, link}});
  const sif::Inode& inode = *tree.root().children.at("s");
  EXPECT_EQ(inode.mode, 0777);
  EXPECT_EQ(inode.uid, 2u);
  EXPECT_EQ(inode.mtime, -3);
}

TEST(MergedTree, XattrsThatAFileSystemTakes) {
  TarEntry file = entry_of("f", EntryType::regular, 0644, 0, 0);
  file.xattrs = {{"user.a", "1"}, {"trusted.overlay.origin", "2"}, {"strange", "3"}};
  TarEntry symlink = entry_of("s", EntryType::symlink, 0777, 0, 0);
  symlink.link_target = "f";
  symlink.xattrs = {{"user.a", "1"}, {"trusted.t", "2"}};
  TarEntry opaque = entry_of("d", EntryType::directory, 0755, 0, 0);
  opaque.xattrs = {{"trusted.overlay.opaque", "y"}};
  sif::Tree tree =
      merge_entries({{entry_of("d/gone", EntryType::fifo, 0644, 0, 0)}, {file, symlink, opaque}});
  const auto& root = tree.root().children;
  EXPECT_THAT(root.at("f")->xattrs, testing::ElementsAre(testing::Pair("user.a", "1")));
  EXPECT_THAT(root.at("s")->xattrs, testing::ElementsAre(testing::Pair("trusted.t", "2")));
  EXPECT_TRUE(root.at("d")->children.empty());
  EXPECT_TRUE(root.at("d")->xattrs.empty());
}

TEST(MergedTree, DeviceNumbersAsTheKernelHasThem) {
  TarEntry device = entry_of("n", EntryType::char_device, 0666, 0, 0);
  device.device_major = 0x1001;
  device.device_minor = 0x100003;
  sif::Tree tree = merge_entries({{device}});
  EXPECT_EQ(tree.root().children.at("n")->device_major, 1u);
  EXPECT_EQ(tree.root().children.at("n")->device_minor, 3u);
}

// Replacing a large folder again and again must not walk it each time, and deep paths in any order
// must not cost their square.
TEST(MergedTree, HostileSequencesStayCheap) {
  std::vector<TarEntry> entries;
  for (int i = 0; i < 30'000; ++i) {
    entries.push_back(entry_of("big/f" + std::to_string(i), EntryType::fifo, 0644, 0, 0));
    entries.push_back(entry_of(i % 2 == 0 ? "x/" : "x",
                               i % 2 == 0 ? EntryType::directory : EntryType::fifo, 0644, 0, 0));
  }
  std::string deep;
  for (int i = 0; i < 1900; ++i) deep += "d/";
  for (int i = 0; i < 1'000; ++i) {
    entries.push_back(entry_of(deep + std::to_string(i), EntryType::fifo, 0644, 0, 0));
  }
  sif::Tree tree = merge_entries({entries, entries});
  EXPECT_EQ(tree.root().children.at("big")->children.size(), 30'000u);
}

TEST(MergedTree, SymlinkMazeIsCutOff) {
  std::vector<TarEntry> entries;
  std::string deep;
  for (int i = 0; i < 1900; ++i) deep += "d/";
  entries.push_back(entry_of(deep, EntryType::directory, 0755, 0, 0));
  std::string ups;
  for (int i = 0; i < 1000; ++i) ups += "d/../";
  for (int i = 0; i < 39; ++i) {
    TarEntry link = entry_of("l" + std::to_string(i), EntryType::symlink, 0777, 0, 0);
    link.link_target = ups.substr(0, 4000) + (i == 0 ? "d" : "l" + std::to_string(i - 1));
    entries.push_back(link);
  }
  for (int i = 0; i < 1'000; ++i) {
    entries.push_back(entry_of("l38/x", EntryType::fifo, 0644, 0, 0));
    entries.push_back(entry_of("other/x", EntryType::fifo, 0644, 0, 0));
  }
  EXPECT_THAT([&] { merge_entries({entries}); }, fails_with("symbolic links are a maze"));
}

}  // namespace
}  // namespace oci
