// SPDX-License-Identifier: Apache-2.0
#include "oci/tar_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "memory_tar.h"
#include "oci/layer.h"
#include "tests/unit/fails_with.h"

namespace oci {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using unit::fails_with;

std::vector<TarEntry> read_all(const std::string& archive) {
  const MemorySource source(archive);
  return index_layer(source, source.size(), "layer").entries;
}

TarEntry read_one(const std::string& archive) {
  std::vector<TarEntry> entries = read_all(archive);
  EXPECT_EQ(entries.size(), 1u);
  return entries.at(0);
}

std::string content(const std::string& archive, const TarEntry& entry) {
  const MemorySource source(archive);
  return content_of(&source, entry.size, entry.extents);
}

std::string base256(std::uint64_t value, std::size_t width) {
  std::string field(width, '\0');
  for (std::size_t i = 0; i < 8 && i < width; ++i) {
    field[width - 1 - i] = static_cast<char>(value >> (8 * i));
  }
  const bool negative = (value >> 63) != 0;
  if (negative && width > 8) std::fill_n(field.begin(), width - 8, '\xFF');
  field[0] = static_cast<char>(field[0] | '\x80');
  return field;
}

TEST(TarReader, ReadsPlainMember) {
  const std::string archive = tar_member({.name = "a", .data = "hello", .mode = 04755, .uid = 5}) +
                              tar_member({.name = "b", .type = '2', .link = "a"}) + end_marker();
  const std::vector<TarEntry> entries = read_all(archive);
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].path, "a");
  EXPECT_EQ(entries[0].mode, 04755);
  EXPECT_EQ(entries[0].uid, 5u);
  EXPECT_EQ(content(archive, entries[0]), "hello");
  EXPECT_EQ(entries[0].data_offset, 512u);
  EXPECT_EQ(entries[1].type, EntryType::symlink);
  EXPECT_EQ(entries[1].link_target, "a");
  EXPECT_EQ(entries[1].header_offset, 1024u);
}

TEST(TarReader, TellsWhetherTheEndIsMarked) {
  const std::string member = tar_member({.name = "a"});
  for (const auto& [end, marked] : {std::pair{std::string(), false},
                                    {std::string(512, '\0'), false},
                                    {end_marker(), true},
                                    {end_marker() + "garbage behind", true}}) {
    const MemorySource source(member + end);
    TarReader reader(source, source.size(), "x");
    EXPECT_TRUE(reader.next());
    EXPECT_FALSE(reader.next());
    EXPECT_FALSE(reader.next());
    EXPECT_EQ(reader.saw_end_marker(), marked) << end.size();
  }
}

TEST(TarReader, UstarPrefixAndV7) {
  EXPECT_EQ(read_one(tar_member({.name = "name", .tail = "some/dir"})).path, "some/dir/name");
  const TarEntry v7 =
      read_one(tar_member({.name = "d/", .type = '\0', .magic = "", .tail = "no prefix"}));
  EXPECT_EQ(v7.path, "d/");
  EXPECT_EQ(v7.type, EntryType::directory);
}

TEST(TarReader, GnuLongNamesWinOverPax) {
  const std::string name(4000, 'n'), link(300, 'l');
  const TarEntry entry =
      read_one(gnu_long('L', name) + gnu_long('K', link) + pax_member(pax_record("path", "other")) +
               tar_member({.name = "n", .type = '2', .magic = gnu_magic()}));
  EXPECT_EQ(entry.path, name);
  EXPECT_EQ(entry.link_target, link);
}

TEST(TarReader, Base256Numbers) {
  std::string header = tar_header({.name = "big", .magic = gnu_magic()});
  const std::uint64_t size = 9ULL << 30;
  set_field(header, 124, base256(size, 12));
  set_field(header, 136, base256(static_cast<std::uint64_t>(-7), 12));
  set_field(header, 108, base256(3'000'000'000, 8));
  const std::string archive = with_checksum(header);
  EXPECT_THAT([&] { read_all(archive); }, fails_with("truncated: 9663676416 bytes"));

  set_field(header, 124, base256(0, 12));
  const TarEntry entry = read_one(with_checksum(header));
  EXPECT_EQ(entry.mtime, -7);
  EXPECT_EQ(entry.uid, 3'000'000'000u);

  set_field(header, 124, "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
  EXPECT_THAT([&] { read_all(with_checksum(header)); }, fails_with("size field exceeds 63 bits"));
  set_field(header, 124, base256(static_cast<std::uint64_t>(-1), 12));
  EXPECT_THAT([&] { read_all(with_checksum(header)); }, fails_with("negative size -1"));
}

TEST(TarReader, PaxRecordsOverrideHeader) {
  const std::string records =
      pax_record("path", "real/\xff\nname") + pax_record("uid", "100000") +
      pax_record("gid", "4294967294") + pax_record("mtime", "-1.5") + pax_record("size", "3") +
      pax_record("SCHILY.xattr.user.a", std::string("x=\0\n", 4)) +
      pax_record("SCHILY.xattr.user.empty", "") + pax_record("comment", "ignored");
  const std::string archive =
      pax_member(records) + tar_member({.name = "fake", .data = "abc", .size = 0}) + end_marker();
  const TarEntry entry = read_one(archive);
  EXPECT_EQ(entry.path, "real/\xff\nname");
  EXPECT_EQ(entry.uid, 100000u);
  EXPECT_EQ(entry.gid, 4294967294u);
  EXPECT_EQ(entry.mtime, -2);
  EXPECT_EQ(content(archive, entry), "abc");
  EXPECT_THAT(entry.xattrs, ElementsAre(Pair("user.a", std::string("x=\0\n", 4))));
}

// The error names the member as its header does, which a record has replaced by then.
TEST(TarReader, BadRecordBehindALongName) {
  const std::string archive =
      pax_member(pax_record("path", std::string(200, 'n')) + pax_record("uid", "abc")) +
      tar_member({.name = "a name of the header"}) + end_marker();
  EXPECT_THAT([&] { read_all(archive); }, fails_with("a name of the header"));
}

TEST(TarReader, PaxTimesRoundDown) {
  for (const auto& [text, seconds] : {std::pair{"1.9", 1},
                                      {"-1", -1},
                                      {"-1.0", -1},
                                      {"-0.5", -1},
                                      {"-1.00000000001", -1},
                                      {"7.", 7},
                                      {"+7", 7}}) {
    const std::string archive = pax_member(pax_record("mtime", text)) + tar_member({.name = "a"});
    EXPECT_EQ(read_one(archive).mtime, seconds) << text;
  }
}

TEST(TarReader, GlobalRecordsChangeNothing) {
  const std::string archive = pax_member(pax_record("uid", "9"), 'x') +
                              pax_member(pax_record("path", "global"), 'g') +
                              tar_member({.name = "a"});
  const TarEntry entry = read_one(archive);
  EXPECT_EQ(entry.path, "a");
  EXPECT_EQ(entry.uid, 0u);
}

TEST(TarReader, SizesOfLinksAndFoldersHaveNoData) {
  const std::string archive = tar_header({.name = "h", .type = '1', .link = "a", .size = 4000}) +
                              tar_header({.name = "d", .type = '5', .size = 700}) +
                              tar_header({.name = "c", .type = '7', .size = 0}) + end_marker();
  const std::vector<TarEntry> entries = read_all(archive);
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].size, 0u);
  EXPECT_EQ(entries[2].type, EntryType::regular);
}

TEST(TarReader, LargeDataIsNotRead) {
  const std::string archive = tar_member({.name = "a", .data = std::string(8 << 20, 'x')}) +
                              tar_member({.name = "b"}) + end_marker();
  const MemorySource source(archive);
  EXPECT_EQ(index_layer(source, source.size(), "x").entries.size(), 2u);
  EXPECT_LT(source.bytes_read, 100'000u);
}

std::string gnu_sparse_tail(const std::vector<std::pair<int, int>>& pieces, bool extended,
                            int real_size) {
  std::string tail(150, '\0');
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    set_field(tail, 41 + 24 * i, octal(static_cast<unsigned>(pieces[i].first), 12));
    set_field(tail, 41 + 24 * i + 12, octal(static_cast<unsigned>(pieces[i].second), 12));
  }
  tail[137] = extended ? '\1' : '\0';
  set_field(tail, 138, octal(static_cast<unsigned>(real_size), 12));
  return tail;
}

TEST(TarReader, SparseFilesOfAllFormats) {
  const std::string expected =
      std::string(10, '\0') + "abc" + std::string(7, '\0') + "de" + std::string(8, '\0');
  const std::string data = padded("abcde");
  std::string extension(512, '\0');
  set_field(extension, 0, octal(20, 12));
  set_field(extension, 12, octal(2, 12));
  const auto v = [](const char* major, const char* minor) {
    return pax_record("GNU.sparse.major", major) + pax_record("GNU.sparse.minor", minor);
  };
  const auto sparse = [](const std::string& records, const std::string& stored, int size) {
    return pax_member(records) + tar_header({.name = "fake", .size = size}) + stored;
  };
  const std::string archives[] = {
      tar_header({.name = "s",
                  .type = 'S',
                  .size = 5,
                  .magic = gnu_magic(),
                  .tail = gnu_sparse_tail({{10, 3}, {20, 2}, {30, 0}}, false, 30)}) +
          data,
      tar_header({.name = "s",
                  .type = 'S',
                  .size = 5,
                  .magic = gnu_magic(),
                  .tail = gnu_sparse_tail({{0, 0}, {5, 0}, {7, 0}, {10, 3}}, true, 30)}) +
          extension + data,
      sparse(pax_record("GNU.sparse.name", "s") + pax_record("GNU.sparse.size", "30") +
                 pax_record("GNU.sparse.numblocks", "2") + pax_record("GNU.sparse.offset", "10") +
                 pax_record("GNU.sparse.numbytes", "3") + pax_record("GNU.sparse.offset", "20") +
                 pax_record("GNU.sparse.numbytes", "2"),
             data, 5),
      sparse(v("0", "1") + pax_record("GNU.sparse.name", "s") +
                 pax_record("GNU.sparse.size", "30") + pax_record("GNU.sparse.numblocks", "2") +
                 pax_record("GNU.sparse.map", "10,3,20,2"),
             data, 5),
      sparse(v("1", "0") + pax_record("GNU.sparse.name", "s") +
                 pax_record("GNU.sparse.realsize", "30"),
             padded("2\n10\n3\n20\n2\n") + data, 517),
  };
  for (const std::string& archive : archives) {
    const std::string followed = archive + tar_member({.name = "after"}) + end_marker();
    const std::vector<TarEntry> entries = read_all(followed);
    ASSERT_EQ(entries.size(), 2u);
    EXPECT_EQ(entries[0].path, "s");
    EXPECT_EQ(content(followed, entries[0]), expected);
    EXPECT_EQ(entries[1].path, "after");
  }
}

TEST(TarReader, RejectsWrongSparseMaps) {
  const auto sparse = [](const std::string& count, const std::string& map,
                         const std::string& size) {
    return pax_member(pax_record("GNU.sparse.major", "0") + pax_record("GNU.sparse.minor", "1") +
                      pax_record("GNU.sparse.numblocks", count) +
                      pax_record("GNU.sparse.size", size) + pax_record("GNU.sparse.map", map)) +
           tar_member({.name = "s", .data = "abcde"});
  };
  const struct {
    std::string archive, message;
  } rows[] = {
      {sparse("2", "10,3,20,2,5", "30"), "longer than"},
      {sparse("2", "10,3,20", "30"), "shorter than"},
      {sparse("99999999999", "10,3", "30"), "sparse map of more than"},
      {sparse("-1", "10,3", "30"), "negative"},
      {sparse("2", "20,2,10,3", "30"), "out of order"},
      {sparse("2", "10,3,12,2", "30"), "out of order"},
      {sparse("2", "10,3,29,2", "30"), "outside the file"},
      {sparse("2", "10,3,9223372036854775807,2", "30"), "outside the file"},
      {sparse("2", "10,3,20,3", "30"), "incomplete"},
      {sparse("1", "10,3", "30"), "covers 3 of 5"},
      {sparse("1", "10,5", "-30"), "negative size"},
      {sparse("1", "x,5", "30"), "no decimal number"},
      {pax_member(pax_record("GNU.sparse.numbytes", "3")) + tar_member({.name = "s"}), "malformed"},
      {pax_member(pax_record("GNU.sparse.map", "0,1")) + tar_member({.name = "s", .type = '5'}),
       "without data"},
  };
  for (const auto& row : rows) EXPECT_THAT([&] { read_all(row.archive); }, fails_with(row.message));
}

TEST(TarReader, ErrorsNameLayerMemberAndOffset) {
  const std::string archive =
      tar_member({.name = "fine"}) + tar_header({.name = "bad\nname", .size = 5000}) + "short";
  EXPECT_THAT(
      [&] { read_all(archive); },
      fails_with("layer: member 'bad\\nname' at offset 512: truncated: 5000 bytes of data at "
                 "1024, but the archive ends at 1029"));
}

TEST(TarReader, RejectsWrongBytes) {
  std::string bad_sum = tar_member({.name = "a"});
  bad_sum[0] = 'b';
  std::string bad_number = tar_header({.name = "a"});
  set_field(bad_number, 124, "12x");
  const struct {
    std::string archive, message;
  } rows[] = {
      {bad_sum, "checksum"},
      {with_checksum(bad_number), "size field '12x00000000' is no octal"},
      {tar_member({.name = "a"}) + std::string(100, 'x'), "truncated: the archive ends at 612"},
      {std::string(512, '\0') + tar_member({.name = "a"}), "zero block"},
      {tar_member({.name = "a", .type = 'Z'}), "type 'Z' is unknown"},
      {tar_header({.name = "p", .type = 'x', .size = 2 << 20}), "at most 1048576"},
      {tar_header({.name = "p", .type = 'L', .size = 1 << 17}), "at most 65536"},
      {pax_member("garbage") + tar_member({.name = "a"}), "malformed pax"},
      {pax_member("9 a=b\nxxx") + tar_member({.name = "a"}), "malformed pax"},
      {pax_member("99999999999999999999 a=b\n") + tar_member({.name = "a"}), "malformed pax"},
      {pax_member("0 a=b\n") + tar_member({.name = "a"}), "malformed pax"},
      {pax_member("5 =b\n") + tar_member({.name = "a"}), "without a key"},
      {pax_member(pax_record("path", std::string("a\0b", 3))) + tar_member({.name = "a"}), "NUL"},
      {pax_member(pax_record("size", "12k")) + tar_member({.name = "a"}), "no decimal"},
      {pax_member(pax_record("mtime", "1.x")) + tar_member({.name = "a"}), "no number"},
      {pax_member(pax_record("size", "99999999999999")) + tar_member({.name = "a"}), "truncated"},
  };
  for (const auto& row : rows) EXPECT_THAT([&] { read_all(row.archive); }, fails_with(row.message));
}

TEST(TarReader, TruncationAtAnyByteIsAnErrorOrAnEarlierEnd) {
  const std::string archive = pax_member(pax_record("path", "long")) +
                              tar_member({.name = "a", .data = "hello"}) + gnu_long('L', "name") +
                              tar_member({.name = "b", .data = std::string(600, 'x')}) +
                              end_marker();
  for (std::size_t size = 0; size < archive.size(); ++size) {
    try {
      EXPECT_LE(read_all(archive.substr(0, size)).size(), 2u);
    } catch (const base::Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("truncated"));
    }
  }
}

}  // namespace
}  // namespace oci
