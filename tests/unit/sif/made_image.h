// SPDX-License-Identifier: Apache-2.0
// Images for reader tests, made by the reference writers (mksquashfs, tar2sqfs) from a tree in a
// temporary folder.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "base/syscalls.h"
#include "sif/squashfs_reader.h"
#include "tests/unit/temporary_folder.h"

namespace sif {

inline void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// Runs a shell command; false when it fails.
inline bool run_command(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;  // NOLINT(concurrency-mt-unsafe)
}

inline bool make_image(const std::string& tree, const std::string& image,
                       const std::string& options) {
  return run_command("mksquashfs '" + tree + "' '" + image + "' -noappend -no-progress " + options);
}

struct OpenImage {
  base::UniqueFd fd;
  std::unique_ptr<SquashfsReader> reader;
  const SquashfsReader* operator->() const { return reader.get(); }
  const SquashfsReader& operator*() const { return *reader; }
};

inline OpenImage open_made_image(const std::string& path) {
  OpenImage image{base::open_file(path, O_RDONLY), nullptr};
  const auto size = static_cast<std::uint64_t>(base::file_status(image.fd.get(), path).st_size);
  image.reader = std::make_unique<SquashfsReader>(image.fd.get(), 0, size, path);
  return image;
}

// The inode at a path of the image, found component by component.
inline std::optional<InodeRef> find_path(const SquashfsReader& reader, const std::string& path) {
  InodeRef ref = reader.root();
  for (const std::string& name : base::split(path, '/')) {
    const auto found = reader.find_entry(ref, name);
    if (!found) return std::nullopt;
    ref = *found;
  }
  return ref;
}

inline std::string read_all(const SquashfsReader& reader, InodeRef ref, std::size_t piece) {
  std::string text;
  std::vector<std::byte> buffer(piece);
  for (;;) {
    const std::size_t count = reader.read_file(ref, text.size(), buffer);
    if (count == 0) return text;
    text.append(reinterpret_cast<const char*>(buffer.data()), count);
  }
}

}  // namespace sif
