// SPDX-License-Identifier: Apache-2.0
// File systems that mke2fs made, in a file; e2fsck has the last word.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/unique_fd.h"
#include "ext/file_system.h"
#include "tests/unit/temporary_folder.h"

namespace ext {

// What mke2fs is told.
inline const auto kKinds = testing::Values(
    "-t ext3 -b 1024", "-t ext3 -b 4096", "-t ext2 -b 1024", "-t ext4 -b 1024", "-t ext4 -b 4096",
    "-t ext4 -O ^metadata_csum,^64bit -b 2048", "-t ext3 -I 128 -b 1024", "-t ext2 -O ^filetype");

inline constexpr NewInode kFile{S_IFREG | 0644, 1000, 1000, 0};
inline constexpr NewInode kFolder{S_IFDIR | 0755, 1000, 1000, 0};

inline int exit_status_of(const std::string& command) {
  const int status =
      std::system((command + " >/dev/null 2>&1").c_str());  // NOLINT(concurrency-mt-unsafe)
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class ExtImage {
 public:
  explicit ExtImage(const std::string& options, std::uint64_t bytes = 16 << 20)
      : bytes_(bytes), path(folder_ / "image"), fd(base::open_file(path, O_RDWR | O_CREAT, 0600)) {
    EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
    EXPECT_EQ(exit_status_of("mke2fs -q -F " + options + " " + path), 0)
        << "mke2fs (e2fsprogs) is needed";
  }
  Partition partition() const { return Partition(fd.get(), 0, bytes_, path); }
  FileSystem open(Access access = Access::read_write) const {
    return FileSystem(partition(), access);
  }
  void expect_sound() const {
    EXPECT_EQ(exit_status_of("e2fsck -fn " + path), 0)
        << (std::system(("e2fsck -fn " + path).c_str()), path);  // NOLINT(concurrency-mt-unsafe)
  }

 private:
  const unit::TemporaryFolder folder_;
  const std::uint64_t bytes_;

 public:
  const std::string path;
  const base::UniqueFd fd;
};

inline std::string read_all(FileSystem& fs, InodeNumber inode) {
  std::string text(fs.attributes(inode).size, '?');
  text.resize(fs.read(inode, 0, std::as_writable_bytes(std::span(text))));
  return text;
}

inline void write_text(FileSystem& fs, InodeNumber inode, std::uint64_t at, std::string_view text) {
  fs.write(inode, at, std::as_bytes(std::span(text)));
}

inline int errno_of_failure(const std::function<void()>& action) {
  try {
    action();
  } catch (const base::Error& error) {
    return error.errno_value();
  }
  return 0;
}

}  // namespace ext
