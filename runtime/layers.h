// SPDX-License-Identifier: Apache-2.0
// What an overlay file system is put together from, besides the image at its bottom.
#pragma once

#include <vector>

#include "base/unique_fd.h"
#include "runtime/session_directory.h"

namespace runtime {

// Descriptors are O_PATH of mounted directories.
struct Layers {
  std::vector<base::UniqueFd> lowers;  // over the image, the topmost first
  base::UniqueFd upper, work;          // takes changes; none: the result is read-only
  bool may_be_lost = false;            // by a crash of the host: nothing waits for the disk

  bool empty() const { return lowers.empty() && !upper; }
};

// An upper layer that is lost at exit.
void add_throwaway_layer(Layers& layers, SessionDirectory& session);

// Mounts `layers` over `image` at the directory `target`. `mount_points` is a directory between
// them that holds what neither has. Throws with a hint.
void mount_layers(const Layers& layers, int mount_points, int image, int target);

// Makes a directory below `into` like the one of the canonical path `name` in `image`: the same
// names on the way and their modes, which an overlay would show. Gives O_PATH of it.
base::UniqueFd imitate_directory(int image, int into, const std::string& name);

}  // namespace runtime
