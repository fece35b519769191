// SPDX-License-Identifier: Apache-2.0
// A file tree that a test fills and looks at as a root; gone with the object.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "runtime/root_tree.h"
#include "tests/unit/temporary_folder.h"

namespace runtime {

class TreeFixture {
 public:
  const std::string& top() const { return top_; }
  RootTree tree() const { return RootTree(top_); }
  std::string directory(const std::string& path) const {
    std::filesystem::create_directories(top_ + path);
    return path;
  }
  std::string file(const std::string& path, std::string_view text = "") const {
    std::filesystem::create_directories(std::filesystem::path(top_ + path).parent_path());
    std::ofstream(top_ + path, std::ios::binary) << text;
    return path;
  }
  std::string link(const std::string& path, const std::string& target) const {
    std::filesystem::create_directories(std::filesystem::path(top_ + path).parent_path());
    std::filesystem::create_symlink(target, top_ + path);
    return path;
  }

 private:
  const unit::TemporaryFolder folder_;
  const std::string& top_ = folder_.path();
};

}  // namespace runtime
