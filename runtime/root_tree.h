// SPDX-License-Identifier: Apache-2.0
// A file tree looked at as if its top were "/": the host, a driver container below /run, a mounted
// image, or a tree that a test made. Symbolic links stay inside. For discovery: what cannot be
// looked at (no permission, a loop) counts as absent. Single-threaded.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/unique_fd.h"

namespace runtime {

class RootTree {
 public:
  // `top` is "/" or a directory's path without a slash at the end.
  explicit RootTree(std::string_view top = "/") : top_(top == "/" ? "" : top) {}

  // The path without symbolic links, "." and "..", if it exists.
  std::optional<std::string> resolve(std::string_view path) const;
  // Every spelling on the way there: the path itself (normalised), then after each symbolic link
  // the path it leads to; the last one is resolve()'s. Empty if it does not exist.
  std::vector<std::string> spellings(std::string_view path) const;

  // stat(2), lstat(2) of the last component only, open(2) for reading.
  std::optional<struct stat> status(std::string_view path) const;
  bool is_directory(std::string_view path) const;
  bool is_file(std::string_view path) const;
  bool exists(std::string_view path) const { return resolve(path).has_value(); }
  std::optional<base::UniqueFd> open(std::string_view path) const;
  // A whole small file; one larger than `limit` counts as absent.
  std::optional<std::string> read(std::string_view path, std::size_t limit = 1 << 20) const;
  // Names in a directory without "." and "..", sorted; at most kMaxNames of them.
  // They are read once.
  const std::vector<std::string>& list(std::string_view path) const&;
  const std::vector<std::string>& list(std::string_view path) const&& = delete;  // it is the tree's
  static constexpr std::size_t kMaxNames = 100000;

  // The path to give to system calls for a path that resolve() returned.
  std::string outside(std::string_view resolved) const { return top_ + std::string(resolved); }

 private:
  bool is_known_directory(const std::string& path) const;
  const std::optional<std::string>& canonical_directory(std::string_view path) const;
  std::optional<std::string> walk(std::string_view path, std::vector<std::string>* spellings) const;

  std::string top_;
  // Paths on the way to others, and whether they are directories (not links to such): one with many
  // files is walked once, and so is one that is missing.
  mutable std::unordered_map<std::string, bool> directories_;
  // The same for resolve(): where the directories of files lead, nullopt for nowhere.
  mutable std::map<std::string, std::optional<std::string>, std::less<>> directories_of_files_;
  mutable std::map<std::string, std::vector<std::string>, std::less<>> lists_;
};

// Lexical: duplicate slashes, "." and ".." removed.
std::string normal_path(std::string_view path);
// Is `path` the directory or below it? Both normalised.
bool is_within(std::string_view path, std::string_view directory);
std::string_view parent_path(std::string_view path);
std::string_view base_name(std::string_view path);

}  // namespace runtime
