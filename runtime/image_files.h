// SPDX-License-Identifier: Apache-2.0
// Looks at the files of an image without running or mounting it: an unpacked folder, a SIF's root
// or a bare squashfs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/root_tree.h"
#include "sif/sif_reader.h"
#include "sif/squashfs_reader.h"

namespace runtime {

class ImageFiles {
 public:
  static constexpr std::size_t kMaxTextSize = 8 << 20;

  // Throws Error for what is no image.
  explicit ImageFiles(const std::string& path);

  // A regular file's content, symbolic links resolved inside the image; nullopt if there is none.
  std::optional<std::string> read(std::string_view path) const;
  bool is_directory(std::string_view path) const;
  // Names in a directory, sorted; empty if there is none.
  std::vector<std::string> list(std::string_view path) const;

 private:
  std::optional<RootTree> folder_;
  std::optional<sif::ImageFile> file_;
  std::unique_ptr<sif::SquashfsReader> reader_;  // of file_
};

}  // namespace runtime
