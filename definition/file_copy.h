// SPDX-License-Identifier: Apache-2.0
// %files: copies into an image, as cp -fLr does from the host; from another stage, with links,
// modes and owners as they are.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "definition/definition_file.h"
#include "definition/root_folder.h"

namespace definition {

struct CopyJob {
  const std::vector<FileCopy>& copies;
  const RootFolder* stage = nullptr;    // where the sources are; nullptr: the host, as this process
                                        // sees it
  std::string base{};                   // the folder that destinations are below; empty: the root
  std::vector<std::string> left_out{};  // folders, of the build itself, that are never copied
};

// Says what it copies. `pause` is called before each file, and may throw to end it. Throws Error
// for a source that is not there.
void copy_files(const CopyJob& job, RootFolder& target, const std::function<void()>& pause);

}  // namespace definition
