// SPDX-License-Identifier: Apache-2.0
#include "runtime/image_extract.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/fails_with.h"
#include "tests/unit/sif/made_image.h"

namespace runtime {
namespace {

using unit::fails_with;

namespace fs = std::filesystem;

sif::ImageFile image_file(const std::string& path) {
  sif::ImageFile image;
  image.fd = base::open_file(path, O_RDONLY);
  image.path = path;
  image.size = static_cast<std::uint64_t>(base::file_status(image.fd.get(), path).st_size);
  return image;
}

std::string content(const std::string& path) { return base::read_small_file(path); }

class ExtractTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(tree_ / "closed/inner");
    sif::write_text(tree_ / "closed/inner/file", "text");
    sif::write_text(tree_ / "secret", "unreadable");
    fs::create_hard_link(tree_ / "secret", tree_ / "closed/link");
    fs::create_symlink("/etc", tree_ / "outside");
    ASSERT_EQ(::mkfifo((tree_ / "fifo").c_str(), 0644), 0);
    sif::write_text(tree_ / "sparse", "");
    fs::resize_file(tree_ / "sparse", 8 << 20);
    ASSERT_EQ(::chmod((tree_ / "secret").c_str(), 04011), 0);
    ASSERT_EQ(::chmod((tree_ / "closed").c_str(), 0555), 0);
    ASSERT_TRUE(sif::make_image(tree_.path(), output_ / "i", "-comp gzip"));
    ASSERT_EQ(::chmod((tree_ / "closed").c_str(), 0755), 0);
  }
  unit::TemporaryFolder tree_, output_;
};

TEST_F(ExtractTest, MakesATreeThatItsOwnerCanRead) {
  const std::string folder =
      open_extracted_image(image_file(output_ / "i"), output_ / "cache/sifrun");
  EXPECT_EQ(content(folder + "/closed/inner/file"), "text");
  EXPECT_EQ(content(folder + "/secret"), "unreadable");
  struct stat secret = base::find_status(folder + "/secret").value();
  EXPECT_EQ(secret.st_mode & 07777, 04411U);  // readable for the owner
  EXPECT_EQ(secret.st_ino, base::find_status(folder + "/closed/link").value().st_ino);
  EXPECT_EQ(base::find_link_target(folder + "/outside"), "/etc");
  const struct stat sparse = base::find_status(folder + "/sparse").value();
  EXPECT_EQ(sparse.st_size, 8 << 20);
  EXPECT_LT(sparse.st_blocks * 512, 1 << 20);
  EXPECT_TRUE(S_ISFIFO(base::find_status(folder + "/fifo").value().st_mode));
  EXPECT_EQ(base::find_status(folder + "/closed").value().st_mode & 07777, 0755U);
}

TEST_F(ExtractTest, IsDoneOnceAlsoByManyAtATime) {
  std::vector<std::thread> threads;
  std::vector<std::string> folders(6);
  for (std::string& folder : folders) {
    threads.emplace_back(
        [&] { folder = open_extracted_image(image_file(output_ / "i"), output_ / "cache"); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& folder : folders) EXPECT_EQ(folder, folders.front());
  const auto left = std::distance(fs::directory_iterator(output_ / "cache"), {});
  EXPECT_EQ(left, 1);  // no lock, no partial tree
}

TEST_F(ExtractTest, ACorruptImageLeavesNothing) {
  const base::UniqueFd fd = base::open_file(output_ / "i", O_WRONLY);
  const std::string garbage(8, '\x01');
  std::uint64_t inode_table = 0;  // its position stands at offset 64 of the superblock
  base::pread_exactly(base::open_file(output_ / "i", O_RDONLY).get(),
                      std::as_writable_bytes(std::span(&inode_table, 1)), 64, "i");
  base::pwrite_all(fd.get(), std::as_bytes(std::span(garbage)), inode_table + 2, "i");
  EXPECT_THAT([&] { open_extracted_image(image_file(output_ / "i"), output_ / "cache"); },
              fails_with("corrupt gzip block"));
  for (const auto& entry : fs::directory_iterator(output_ / "cache"))
    EXPECT_EQ(entry.path().extension(), ".lock");
}

TEST_F(ExtractTest, RefusesACacheThatOthersMayWrite) {
  fs::create_directories(output_ / "open");
  ASSERT_EQ(::chmod((output_ / "open").c_str(), 0777), 0);
  EXPECT_THAT([&] { open_extracted_image(image_file(output_ / "i"), output_ / "open"); },
              fails_with("open belongs to or is writable for other users"));
}

}  // namespace
}  // namespace runtime
