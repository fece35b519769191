// SPDX-License-Identifier: Apache-2.0
// Which directory of the host is carried into the container as the working directory, and where the
// payload starts.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace runtime {

// The caller's working directory. A directory that was removed or lies outside the root has none.
struct HostDirectory {
  std::string physical;  // getcwd(2)
  std::string logical;   // $PWD where it names the same directory, else the physical path
  dev_t device = 0;
  ino_t inode = 0;
};
std::optional<HostDirectory> find_host_directory(const char* pwd_variable);

// False for the directories whose content must stay the image's (/usr, /etc and the like), for
// what lies below /proc, /sys and /dev, and for the root.
bool is_bindable(std::string_view directory);

struct StartRequest {
  std::optional<std::string> wanted;  // --cwd: this or nothing
  bool contained = false;
  std::optional<HostDirectory> host;
  std::string home;
};
// Changes the process's directory in the container's root and gives its path. Throws if --cwd
// cannot be entered; else tries the host's directory, the home and "/", with a warning if the
// host's is expected in the container and is not there.
std::string enter_start_directory(const StartRequest& request);

}  // namespace runtime
