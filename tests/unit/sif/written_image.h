// SPDX-License-Identifier: Apache-2.0
// Images that the writer under test made in memory. They are unpacked by unsquashfs.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "sif/squashfs_writer.h"
#include "tests/unit/sif/made_image.h"
#include "tests/unit/sif/memory_tree.h"

namespace sif {

// What the writer made, and what it says about it.
struct Image {
  std::string bytes;
  SquashfsStats stats;
};

inline Image write_image(const Tree& tree, const SquashfsOptions& options = {},
                         std::uint64_t offset = 0) {
  const base::UniqueFd fd(::memfd_create("image", MFD_CLOEXEC));
  WriteProgress progress;
  Image image;
  image.stats = write_squashfs(tree, fd.get(), offset, options, progress);
  image.bytes.resize(image.stats.image_bytes);
  base::pread_exactly(fd.get(), std::as_writable_bytes(std::span(image.bytes)), offset, "image");
  EXPECT_EQ(static_cast<std::uint64_t>(base::file_status(fd.get(), "image").st_size),
            offset + image.stats.image_bytes);
  return image;
}

inline std::string error_of(const Tree& tree, const SquashfsOptions& options = {}) {
  try {
    write_image(tree, options);
  } catch (const base::Error& error) {
    return error.what();
  }
  return "no error";
}

inline std::string output_of(const std::string& command) {
  std::string output;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4096> chunk{};
  for (std::size_t n; (n = std::fread(chunk.data(), 1, chunk.size(), pipe)) > 0;)
    output.append(chunk.data(), n);
  const int status = ::pclose(pipe);
  if (status != 0) output += base::cat("\nexit status ", status);
  return output;
}

inline bool have_unsquashfs() { return ::access("/usr/bin/unsquashfs", X_OK) == 0; }

inline std::string content_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class SquashfsWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!have_unsquashfs()) GTEST_SKIP() << "NOT CHECKED: unsquashfs (squashfs-tools) is missing";
  }
  // The image unpacked by unsquashfs.
  std::filesystem::path unpack(const Image& image) {
    std::ofstream(dir_ / "image", std::ios::binary) << image.bytes;
    const std::filesystem::path root = dir_ / "root";
    std::filesystem::remove_all(root);
    const std::string output = output_of(
        base::cat("/usr/bin/unsquashfs -no-progress -d ", root.native(), " ", dir_ / "image"));
    EXPECT_THAT(output, testing::Not(testing::HasSubstr("exit status"))) << output;
    return root;
  }
  std::string listing(const Image& image) {
    std::ofstream(dir_ / "image", std::ios::binary) << image.bytes;
    return output_of(base::cat("TZ=UTC /usr/bin/unsquashfs -lln ", dir_ / "image"));
  }
  unit::TemporaryFolder dir_;
};

}  // namespace sif
