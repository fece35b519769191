// SPDX-License-Identifier: Apache-2.0
// Real small images (the fuzzer's seeds) with every byte changed and cut at every place: reading
// all of it ends in values or in EIO, never in a crash or a hang.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/syscalls.h"
#include "sif/squashfs_reader.h"

namespace sif {
namespace {

// Where the tests' data lies, from the source tree's root.
std::filesystem::path seeds() {
  return "testdata/fuzz/squashfs_reader";  // below the source folder, where ctest starts the test
}

struct Outcome {
  int entries = 0;
  int failures = 0;
};

template <typename Access>
void attempt(Outcome& outcome, Access access) {
  try {
    access();
  } catch (const base::Error& error) {
    ++outcome.failures;
    EXPECT_EQ(error.errno_value(), EIO) << error.what();
  }
}

Outcome read_everything(int fd, std::uint64_t size) {
  Outcome outcome;
  attempt(outcome, [&] {
    const SquashfsReader reader(fd, 0, size, "image");
    std::vector<InodeRef> directories = {reader.root()};
    std::array<std::byte, 16384> buffer{};
    for (std::size_t i = 0; i < directories.size() && directories.size() < 100; ++i) {
      attempt(outcome, [&] {
        reader.list(directories[i], 0, [&](const SquashfsReader::Entry& entry) {
          ++outcome.entries;
          attempt(outcome, [&] {
            const InodeAttributes inode = reader.attributes(entry.ref);
            if (inode.type == FileType::directory) directories.push_back(entry.ref);
            if (inode.type == FileType::symlink) reader.symlink_target(entry.ref);
            if (inode.type == FileType::regular) reader.read_file(entry.ref, 0, buffer);
            reader.xattrs(inode);
          });
          return true;
        });
      });
    }
  });
  return outcome;
}

class CorruptionTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string path = seeds() / GetParam();
    const base::UniqueFd file = base::open_file(path, O_RDONLY);
    bytes_.resize(static_cast<std::size_t>(base::file_status(file.get(), path).st_size));
    base::pread_exactly(file.get(), bytes_, 0, path);
    image_.reset(::memfd_create("image", MFD_CLOEXEC));
    base::pwrite_all(image_.get(), bytes_, 0, "image");
  }

  std::vector<std::byte> bytes_;
  base::UniqueFd image_;
};

TEST_P(CorruptionTest, EveryByteChanged) {
  ASSERT_EQ(read_everything(image_.get(), bytes_.size()).failures, 0);
  for (std::size_t i = 0; i < bytes_.size(); ++i) {
    for (const unsigned change : {0x01U, 0xFFU}) {
      const std::byte changed = bytes_[i] ^ static_cast<std::byte>(change);
      base::pwrite_all(image_.get(), {&changed, 1}, i, "image");
      read_everything(image_.get(), bytes_.size());
    }
    base::pwrite_all(image_.get(), {&bytes_[i], 1}, i, "image");
  }
}

TEST_P(CorruptionTest, CutAnywhere) {
  const std::size_t step = std::max<std::size_t>(1, bytes_.size() / 1024);
  for (std::size_t size = 0; size + 1 < bytes_.size(); size += step) {
    // Told the truth about the size, the superblock's claim is refused.
    const Outcome outcome = read_everything(image_.get(), size);
    EXPECT_EQ(outcome.entries, 0) << size;
    EXPECT_EQ(outcome.failures, 1) << size;
  }
  // Told a lie, reads run into the end of the file.
  for (std::size_t size = bytes_.size() - 1; size > 0; size -= std::min(size, step)) {
    ASSERT_EQ(::ftruncate(image_.get(), static_cast<off_t>(size)), 0);
    EXPECT_GT(read_everything(image_.get(), bytes_.size()).failures, 0) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(Images, CorruptionTest,
                         ::testing::Values("plain-nofrag.sqfs", "zstd.sqfs", "gzip.sqfs"));

}  // namespace
}  // namespace sif
