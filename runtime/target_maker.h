// SPDX-License-Identifier: Apache-2.0
// Mount points that the image lacks, made to appear without changing the image. Each directory of
// the image that needs a new entry is covered, alone: by a tmpfs directory with its other entries
// bound (an underlay) if they are few, else by an overlay. So the price (an overlay makes stat
// 25-40 % dearer) is paid in that directory only, not in the whole root.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "runtime/session_directory.h"

namespace runtime {

struct MissingTarget {
  std::vector<std::string> components;  // below the directory that lacks the first
  bool is_directory = true;
};

// Missing targets by the canonical path of the directory that lacks them; a parent sorts before
// what it holds.
using MissingTargets = std::map<std::string, std::vector<MissingTarget>>;

// Makes a directory path, or a file at its end, below an O_PATH descriptor. What exists stays; the
// result is O_PATH of the last component. Symbolic links are not followed.
base::UniqueFd make_path(int directory, std::span<const std::string> components, bool is_directory);

// Covers `directory` (canonical path `name`) of the image, whose content is read from `original`,
// by one with the missing entries added. The cover stays writable until the caller seals it.
void cover_with_targets(SessionDirectory& session, int original, int directory,
                        const std::string& name, std::span<const MissingTarget> targets);

}  // namespace runtime
