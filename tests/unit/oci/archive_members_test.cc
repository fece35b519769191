// SPDX-License-Identifier: Apache-2.0
#include "oci/archive_members.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/oci/archive_builder.h"

namespace oci {
namespace {

using ::testing::HasSubstr;

std::string content(const ArchiveMembers& members, const std::string& path) {
  return read_text(members.open(path, "the layer", "doc"), 100);
}

TEST(CleanMemberPath, NormalizesAndRefuses) {
  EXPECT_EQ(clean_member_path("./a//b/./c"), "a/b/c");
  EXPECT_EQ(clean_member_path("a/../b"), "b");
  for (const char* path : {"", "/", "/a", "..", "../a", "a/../..", "a/..", "."})
    EXPECT_EQ(clean_member_path(path), std::nullopt) << path;
}

TEST(ArchiveMembers, FindsFilesAndFollowsLinks) {
  const ArchiveMembers members(memory_file(ArchiveBuilder()
                                               .file("./a/layer.tar", "data")
                                               .symlink("b/layer.tar", "../a/layer.tar")
                                               .symlink("c", "b/layer.tar")
                                               .file("twice", "1")
                                               .file("twice", "2")
                                               .bytes()));
  EXPECT_EQ(content(members, "a/layer.tar"), "data");
  EXPECT_EQ(content(members, "c"), "data");
  EXPECT_EQ(content(members, "twice"), "2");
  EXPECT_FALSE(members.contains("d"));
}

TEST(ArchiveMembers, SaysWhyAMemberCannotBeOpened) {
  const ArchiveMembers members(memory_file(ArchiveBuilder()
                                               .symlink("loop", "loop")
                                               .symlink("out", "../x")
                                               .symlink("root", "/etc/passwd")
                                               .symlink("dangling", "nowhere")
                                               .folder("folder")
                                               .bytes()));
  const auto message = [&](const std::string& path) {
    return message_of([&] { content(members, path); });
  };
  EXPECT_EQ(message("x"), "test.tar: doc names the layer x, which is missing in the archive");
  EXPECT_THAT(message("loop"), HasSubstr("a loop of links"));
  EXPECT_THAT(message("dangling"), HasSubstr("missing in the archive (through a link to nowhere)"));
  EXPECT_THAT(message("folder"), HasSubstr("not a regular file"));
  for (const char* path : {"out", "root", "../x", "/x", "folder/../folder", ""})
    EXPECT_THAT(message(path), HasSubstr("leads out of the archive")) << path;
}

TEST(ArchiveMembers, RefusesWhatIsNoWholeArchive) {
  const std::string whole = ArchiveBuilder().file("a", "data").bytes();
  const auto message = [](const std::string& bytes) {
    return message_of([&] { ArchiveMembers members(memory_file(bytes)); });
  };
  EXPECT_EQ(message(whole), "no error");
  EXPECT_EQ(message(""), "test.tar is empty");
  EXPECT_THAT(message("hello"), HasSubstr("not a tar archive\nhint: "));
  EXPECT_THAT(message(std::string(32, ' ') + "SIF_MAGIC" + std::string(500, ' ')),
              HasSubstr("is a SIF image already"));
  for (std::size_t size = 512; size < whole.size(); ++size)
    EXPECT_THAT(message(whole.substr(0, size)), HasSubstr("truncated")) << size;
}

}  // namespace
}  // namespace oci
