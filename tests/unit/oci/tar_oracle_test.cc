// SPDX-License-Identifier: Apache-2.0
// Archives that libarchive writes in each of its tar formats, read by our reader and by libarchive.
#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <memory>

#include "memory_tar.h"
#include "oci/tar_reader.h"

namespace oci {
namespace {

using Writer = std::unique_ptr<archive, decltype(&archive_write_free)>;
using Reader = std::unique_ptr<archive, decltype(&archive_read_free)>;
using Entry = std::unique_ptr<archive_entry, decltype(&archive_entry_free)>;

struct Member {
  std::string path;
  mode_t type;
  std::string data_or_target;
  int mode = 0644;
  std::int64_t uid = 0, mtime = 0;
  bool sparse = false;
};

const std::vector<Member> kMembers = {
    {"file", AE_IFREG, "hello", 04755, 1000, 1'700'000'000},
    {"empty", AE_IFREG, ""},
    {"block", AE_IFREG, std::string(512, 'b'), 0600, 70000},
    {"folder", AE_IFDIR, "", 01777, 0, 5},
    {"folder/" + std::string(90, 'n') + "/" + std::string(60, 'm'), AE_IFREG, "prefix"},
    {"link", AE_IFLNK, "file", 0777},
    {"pipe", AE_IFIFO, ""},
    {"null", AE_IFCHR, "", 0666},
};
const std::vector<Member> kBeyondUstar = {
    {std::string(255, 'x') + "/" + std::string(255, 'y'), AE_IFREG, "long"},
    {"to-long", AE_IFLNK, std::string(300, 't'), 0777},
    {"owner", AE_IFREG, "x", 0644, 3'000'000'000},
    {"before-1970", AE_IFREG, "x", 0644, 0, -1000},
    {"umlaut-\xc3\xbc", AE_IFREG, "x"},
};

std::string write_archive(int format, const std::vector<Member>& members) {
  std::string out(1 << 20, '\0');
  std::size_t used = 0;
  const Writer writer(archive_write_new(), archive_write_free);
  archive_write_set_format(writer.get(), format);
  archive_write_open_memory(writer.get(), out.data(), out.size(), &used);
  for (const Member& member : members) {
    const Entry entry(archive_entry_new(), archive_entry_free);
    archive_entry_set_pathname(entry.get(), member.path.c_str());
    archive_entry_set_filetype(entry.get(), member.type);
    archive_entry_set_perm(entry.get(), static_cast<mode_t>(member.mode));
    archive_entry_set_uid(entry.get(), member.uid);
    archive_entry_set_mtime(entry.get(), member.mtime, 0);
    if (member.type == AE_IFLNK) {
      archive_entry_set_symlink(entry.get(), member.data_or_target.c_str());
    }
    if (member.type == AE_IFCHR) archive_entry_set_rdev(entry.get(), makedev(1, 3));
    const bool regular = member.type == AE_IFREG;
    if (regular)
      archive_entry_set_size(entry.get(), static_cast<la_int64_t>(member.data_or_target.size()));
    if (member.sparse) archive_entry_sparse_add_entry(entry.get(), 4096, 100);
    if (member.sparse) archive_entry_sparse_add_entry(entry.get(), 20480, 4096);
    EXPECT_LE(ARCHIVE_WARN, archive_write_header(writer.get(), entry.get())) << member.path;
    if (regular)
      archive_write_data(writer.get(), member.data_or_target.data(), member.data_or_target.size());
  }
  archive_write_close(writer.get());
  out.resize(used);
  return out;
}

std::string read_data(archive* reader, std::uint64_t size) {
  std::string data(size, '\0');
  const void* block = nullptr;
  std::size_t length = 0;
  la_int64_t offset = 0;
  while (archive_read_data_block(reader, &block, &length, &offset) == ARCHIVE_OK) {
    data.replace(static_cast<std::size_t>(offset), length, static_cast<const char*>(block), length);
  }
  return data;
}

void compare(const std::string& bytes) {
  const MemorySource source(bytes);
  TarReader ours(source, source.size(), "archive");
  const Reader theirs(archive_read_new(), archive_read_free);
  archive_read_support_format_tar(theirs.get());
  archive_read_open_memory(theirs.get(), bytes.data(), bytes.size());
  archive_entry* expected = nullptr;
  while (archive_read_next_header(theirs.get(), &expected) != ARCHIVE_EOF) {
    const std::optional<TarEntry> entry = ours.next();
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->path, archive_entry_pathname(expected));
    SCOPED_TRACE(entry->path);
    EXPECT_EQ(entry->mode, archive_entry_perm(expected));
    EXPECT_EQ(entry->uid, archive_entry_uid(expected));
    EXPECT_EQ(entry->mtime, archive_entry_mtime(expected));
    const mode_t type = archive_entry_filetype(expected);
    EXPECT_EQ(entry->type == EntryType::directory, type == AE_IFDIR);
    EXPECT_EQ(entry->type == EntryType::fifo, type == AE_IFIFO);
    if (type == AE_IFLNK) {
      EXPECT_EQ(entry->link_target, archive_entry_symlink(expected));
    }
    if (type == AE_IFCHR) {
      EXPECT_EQ(entry->device_minor, archive_entry_rdevminor(expected));
    }
    if (type != AE_IFREG) continue;
    ASSERT_EQ(entry->size, static_cast<std::uint64_t>(archive_entry_size(expected)));
    EXPECT_EQ(content_of(&source, entry->size, entry->extents),
              read_data(theirs.get(), entry->size));
  }
  EXPECT_FALSE(ours.next());
  EXPECT_TRUE(ours.saw_end_marker());
}

TEST(TarOracle, Ustar) { compare(write_archive(ARCHIVE_FORMAT_TAR_USTAR, kMembers)); }

TEST(TarOracle, V7) {
  compare(write_archive(ARCHIVE_FORMAT_TAR, {{"file", AE_IFREG, "hello", 0755, 10, 99},
                                             {"folder", AE_IFDIR, "", 0755},
                                             {"link", AE_IFLNK, "file", 0777}}));
}

TEST(TarOracle, Gnu) {
  std::vector<Member> members = kMembers;
  members.insert(members.end(), kBeyondUstar.begin(), kBeyondUstar.end());
  compare(write_archive(ARCHIVE_FORMAT_TAR_GNUTAR, members));
}

TEST(TarOracle, PaxWithSparseFile) {
  std::vector<Member> members = kMembers;
  members.insert(members.end(), kBeyondUstar.begin(), kBeyondUstar.end());
  std::string holes(100'000, '\0');
  holes.replace(4096, 100, std::string(100, 'a'));
  holes.replace(20480, 4096, std::string(4096, 'b'));
  members.push_back({"holes", AE_IFREG, holes, 0644, 0, 0, true});
  compare(write_archive(ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE, members));
}

}  // namespace
}  // namespace oci
