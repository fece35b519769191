// SPDX-License-Identifier: Apache-2.0
// A folder that containers must not reach, though they are shown the one that it lies in: in this
// mount namespace it is found at another place, and nothing under its name. Containers cannot undo
// that: mounts of a more privileged namespace are locked in theirs.
#pragma once

#include <string>

namespace runtime {

class HiddenFolder {
 public:
  // `place`: an empty or unneeded directory. Throws Error.
  HiddenFolder(std::string folder, std::string place);
  // All is as before, once nobody is in there.
  ~HiddenFolder();
  HiddenFolder(const HiddenFolder&) = delete;
  HiddenFolder& operator=(const HiddenFolder&) = delete;

  const std::string& place() const { return place_; }

 private:
  std::string folder_, place_;
};

// A directory of the host that no container is shown unasked, to be used as a place.
std::string find_place_for_hiding();

}  // namespace runtime
