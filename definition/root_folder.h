// SPDX-License-Identifier: Apache-2.0
// An unpacked image that is being worked on. Paths are resolved below its top by descriptors:
// symbolic links of the image lead nowhere else. Single-threaded; all throw Error.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace definition {

inline constexpr std::size_t kMaxTextFile = 4 << 20;

class RootFolder {
 public:
  explicit RootFolder(std::string path);

  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }

  // The text of a regular file; nullopt where there is none.
  std::optional<std::string> find_text(const std::string& file) const;
  // A file made anew, in place of what has the name, and the folders above it.
  void write_text(const std::string& file, std::string_view text, mode_t mode);
  // A folder and those above it; what exists stays. O_PATH.
  base::UniqueFd make_folder(const std::string& folder);
  // A file, if it is there.
  void remove(const std::string& file);

  // Where a path leads or would lead to: the folder (O_PATH, made if it is missing) and the name in
  // it, which is no symbolic link. The name is empty where the path is the top.
  struct Place {
    base::UniqueFd folder;
    std::string name;
    bool exists = false;
  };
  Place place_of(const std::string& path);

 private:
  std::string path_;
  base::UniqueFd fd_;
};

}  // namespace definition
