// SPDX-License-Identifier: Apache-2.0
// SIF containers written by sif_writer and read back by sif_reader, and images by others built
// byte by byte.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/syscalls.h"
#include "sif/sif_reader.h"
#include "sif/sif_writer.h"
#include "sif/squashfs_writer.h"
#include "tests/unit/fails_with.h"
#include "tests/unit/sif/memory_tree.h"
#include "tests/unit/temporary_folder.h"

namespace sif {
namespace {

using testing::HasSubstr;
using unit::fails_with;

SifLayout example_layout() {
  SifLayout layout;
  layout.go_arch = "amd64";
  for (std::uint8_t i = 0; i < 16; ++i) layout.uuid[i] = i;
  layout.created = 1'700'000'000;
  layout.texts = {{DataType::definition_file, "", "bootstrap: docker-archive\nfrom: x\n\n"},
                  {DataType::generic_json, "oci-config.json", "{}"}};
  return layout;
}

class SifTest : public testing::Test {
 protected:
  void write_example() {
    const SifLayout layout = example_layout();
    const base::UniqueFd fd = base::open_file(path_, O_RDWR | O_CREAT | O_TRUNC);
    test::MemoryTree t;
    t.file(t.root(), "hello", "world");
    WriteProgress progress;
    const SquashfsStats stats =
        write_squashfs(t.tree, fd.get(), partition_offset(layout), {}, progress);
    write_sif_around_partition(fd.get(), layout, stats.image_bytes);
  }
  void write_bytes(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }
  std::string bytes() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void edit(std::size_t offset, const std::string& with) {
    std::string all = bytes();
    all.replace(offset, with.size(), with);
    write_bytes(all);
  }
  std::string error_of_open() const {
    try {
      open_image(path_);
    } catch (const base::Error& error) {
      return error.hint().empty() ? error.what() : std::string(error.what()) + " | " + error.hint();
    }
    return "no error";
  }
  SifContainer read() const { return read_sif(base::open_file(path_, O_RDONLY).get(), path_); }
  static constexpr std::size_t kPartitionDescriptor = 4096 + 2 * 585;

  const unit::TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_ / "image.sif";
};

TEST_F(SifTest, WhatIsWrittenIsReadBack) {
  write_example();
  const SifContainer sif = read();
  EXPECT_EQ(sif.header.launch_line, kLaunchLine);
  EXPECT_EQ(sif.header.version, "01");
  EXPECT_EQ(sif.header.arch_code, "02");
  EXPECT_EQ(sif.header.uuid, std::string("\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17", 16));
  EXPECT_EQ(sif.header.created, 1'700'000'000);
  EXPECT_EQ(sif.header.descriptors_free, 45U);
  EXPECT_EQ(sif.header.descriptors_total, 48U);
  EXPECT_EQ(sif.header.data_offset, 32176U);
  EXPECT_EQ(sif.header.data_size, bytes().size() - 32176);
  ASSERT_EQ(sif.descriptors.size(), 3U);
  EXPECT_EQ(sif.descriptors[0].offset, 32176U);
  EXPECT_EQ(sif.descriptors[1].name, "oci-config.json");
  EXPECT_EQ(bytes().substr(sif.descriptors[1].offset, sif.descriptors[1].size), "{}");
  const SifDescriptor& partition = sif.descriptors[2];
  EXPECT_EQ(partition.id, 3U);
  EXPECT_EQ(partition.group, 0xF0000001U);
  EXPECT_EQ(partition.type, DataType::partition);
  EXPECT_EQ(partition.file_system, FileSystemType::squashfs);
  EXPECT_EQ(partition.partition, PartitionType::primary_system);
  EXPECT_EQ(partition.offset % 4096, 0U);
  EXPECT_EQ(partition.offset + partition.size, bytes().size());

  const ImageFile image = open_image(path_);
  EXPECT_EQ(image.offset, partition.offset);
  EXPECT_EQ(image.size, partition.size);
  EXPECT_EQ(image.go_arch, "amd64");
}

TEST_F(SifTest, WhatWasInTheFileBeforeIsOverwritten) {
  write_example();
  const std::string fresh = bytes();
  const SifLayout layout = example_layout();
  const base::UniqueFd fd = base::open_file(path_, O_RDWR);
  base::pwrite_all(fd.get(), std::vector<std::byte>(partition_offset(layout), std::byte{'x'}), 0,
                   "x");
  write_sif_around_partition(fd.get(), layout, fresh.size() - partition_offset(layout));
  EXPECT_TRUE(bytes() == fresh);
}

TEST_F(SifTest, TooManyTextsAndTooLongNamesAreRefused) {
  SifLayout layout = example_layout();
  layout.texts[1].name = std::string(kMaxObjectName + 1, 'n');
  const base::UniqueFd fd = base::open_file(path_, O_RDWR | O_CREAT);
  const auto write = [&] { write_sif_around_partition(fd.get(), layout, 4096); };
  EXPECT_THAT(write, fails_with("the name of a SIF object has at most "));
  layout.texts.assign(48, {});
  EXPECT_THAT(write, fails_with("a SIF holds 48 objects, the partition included, not 49"));
}

// Old builders: data from 32768 on, every object at a page, names of no meaning, more slots.
TEST_F(SifTest, OldImagesAreRead) {
  write_example();
  const std::string squashfs = bytes().substr(partition_offset(example_layout()));
  std::string all = bytes().substr(0, 32176);
  all.resize(49152, '\0');
  all += squashfs;
  write_bytes(all);
  base::ByteWriter data_offset, text_offset, partition;
  data_offset.write(std::uint64_t{32768});
  text_offset.write(std::uint64_t{36864});
  partition.write(std::uint64_t{49152});
  partition.write(std::uint64_t{squashfs.size()});
  const auto text = [](const base::ByteWriter& w) {
    return std::string(reinterpret_cast<const char*>(w.bytes().data()), w.bytes().size());
  };
  edit(112, text(data_offset));
  edit(4096 + 17, text(text_offset));
  edit(kPartitionDescriptor + 17, text(partition));
  edit(kPartitionDescriptor + 73, "squashfs-1234");
  EXPECT_EQ(open_image(path_).offset, 49152U);
  EXPECT_EQ(read().descriptors[2].name, "squashfs-1234");
}

TEST_F(SifTest, EveryTruncationIsAnError) {
  write_example();
  const std::string all = bytes();
  const struct {
    std::size_t size;
    std::string reason;
  } rows[] = {
      {0, "is empty"},
      {1, "is neither a SIF nor a squashfs image"},
      {40, "is neither a SIF nor a squashfs image"},
      {127, "is truncated: it ends at offset 127, but 128 bytes are expected at offset 0"},
      {128, "the SIF descriptor table at offset 4096"},
      {4096, "the SIF descriptor table at offset 4096"},
      {20000, "the SIF descriptor table at offset 4096"},
      {32176, "SIF object 1 at offset 32176"},
      {32200, "SIF object 1 at offset 32176"},
      {32211, "SIF object 2 at offset "},
      {32768, "SIF object 3 at offset 32768"},
      {32800, "SIF object 3 at offset 32768"},
      {all.size() - 1, "is truncated or corrupt: SIF object 3 at offset 32768"},
  };
  for (const auto& row : rows) {
    write_bytes(all.substr(0, row.size));
    EXPECT_THAT(error_of_open(), HasSubstr(row.reason)) << row.size;
  }
}

TEST_F(SifTest, PartitionsThatCannotRunAreNamed) {
  write_example();
  const std::size_t extra = kPartitionDescriptor + 201;
  edit(extra, std::string(1, 5));
  EXPECT_THAT(error_of_open(), HasSubstr("encrypted"));
  edit(extra, std::string(1, 2));
  EXPECT_THAT(error_of_open(), HasSubstr("ext3 file system, not a squashfs | convert it once"));
  edit(extra, std::string(1, 4));
  EXPECT_THAT(error_of_open(), HasSubstr("file system type 4"));
  edit(extra, std::string(1, 1));
  edit(extra + 4, std::string(1, 4));
  EXPECT_THAT(error_of_open(), HasSubstr("no primary system partition"));
}

TEST_F(SifTest, CorruptHeadersAreNamedWithTheirOffset) {
  write_example();
  const std::string all = bytes();
  edit(42, "02");
  EXPECT_THAT(error_of_open(), HasSubstr("SIF header at offset 42 has version 02, expected 01"));
  write_bytes(all);
  edit(88, std::string("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"));
  EXPECT_THAT(error_of_open(), HasSubstr("18446744073709551615 descriptors"));
  write_bytes(all);
  edit(96, std::string("\xF0\xFF\xFF\xFF\xFF\xFF\xFF\xFF"));
  EXPECT_THAT(error_of_open(), HasSubstr("the SIF descriptor table at offset"));
  write_bytes(all);
  edit(kPartitionDescriptor + 25, std::string("\xF0\xFF\xFF\xFF\xFF\xFF\xFF\xFF"));
  EXPECT_THAT(error_of_open(), HasSubstr("reaches beyond the file's"));
  write_bytes(all);
  edit(32768, "junk");
  EXPECT_THAT(error_of_open(), HasSubstr("no squashfs at offset 32768"));
}

TEST_F(SifTest, BareSquashfsAlsoBehindALaunchLine) {
  write_example();
  const std::string squashfs = bytes().substr(partition_offset(example_layout()));
  write_bytes(squashfs);
  EXPECT_EQ(open_image(path_).offset, 0U);
  EXPECT_EQ(open_image(path_).size, squashfs.size());
  write_bytes(std::string(kLaunchLine) + squashfs);
  EXPECT_EQ(open_image(path_).offset, 31U);
  EXPECT_EQ(open_image(path_).size, squashfs.size());
  write_bytes(squashfs.substr(0, 200));
  EXPECT_THAT(error_of_open(), HasSubstr("is truncated: its squashfs at offset 0"));
}

TEST_F(SifTest, OtherFilesAreToldApart) {
  std::string ext(4096, '\0');
  ext.replace(1080, 2, "\x53\xEF");
  write_bytes(ext);
  EXPECT_THAT(error_of_open(), HasSubstr("ext3 image"));
  EXPECT_TRUE(is_image(base::open_file(path_, O_RDONLY).get(), path_));
  ext.replace(1048, 4, "\x80\x01\x02\x03");  // no block size: by chance has an archive the magic
  write_bytes(ext);
  EXPECT_THAT(error_of_open(), HasSubstr("neither a SIF nor a squashfs"));
  EXPECT_FALSE(is_image(base::open_file(path_, O_RDONLY).get(), path_));
  std::string tar(1024, '\0');
  tar.replace(257, 5, "ustar");
  write_bytes(tar);
  EXPECT_THAT(error_of_open(),
              HasSubstr("neither a SIF nor a squashfs image | convert an archive"));
  write_bytes("#!/bin/sh\n");
  EXPECT_THAT(error_of_open(), HasSubstr("neither a SIF nor a squashfs"));
  write_bytes("");
  EXPECT_THAT(error_of_open(), HasSubstr("is empty"));
}

TEST_F(SifTest, PathsThatAreNoImage) {
  std::filesystem::remove(path_);
  EXPECT_THAT(error_of_open(), HasSubstr("image not found: "));
  std::filesystem::create_directory(path_);
  EXPECT_THAT(error_of_open(), HasSubstr("is a directory"));
  std::filesystem::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(error_of_open(), HasSubstr("not a regular file"));
}

TEST(SifArchTest, CodesAndNames) {
  EXPECT_EQ(sif_arch_code("arm64"), "04");
  EXPECT_EQ(sif_arch_code("vax"), "00");
  EXPECT_EQ(go_arch_of_code("12"), "riscv64");
  EXPECT_EQ(go_arch_of_code("99"), "");
  EXPECT_FALSE(host_go_arch().empty());
}

}  // namespace
}  // namespace sif
