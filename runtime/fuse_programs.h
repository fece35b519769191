// SPDX-License-Identifier: Apache-2.0
// --fusemount: file systems that a FUSE program of the host or of the image serves. The program is
// given its mount as /dev/fd/N, as programs of libfuse 3 take it (fuse_session_mount(3)), so that
// it needs no rights to mount.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace runtime {

struct FuseProgram {
  bool in_container = false;
  bool detaches = false;           // it goes into the background by itself, else it is told not to
  std::vector<std::string> words;  // the program and its arguments but the mount
  std::string target;              // absolute path in the container
  bool operator==(const FuseProgram&) const = default;
};

// "host:COMMAND... TARGET", container:, host-daemon:, container-daemon:.
FuseProgram parse_fuse_mount(std::string_view text);

// Mounts on a directory, in a user namespace of ours. Gives the device, for the program.
base::UniqueFd mount_for_program(const std::string& directory);

class FusePrograms {
 public:
  // Outside of the new namespaces: processes that become the host's programs. Single-threaded
  // callers only.
  explicit FusePrograms(const std::vector<FuseProgram>& programs);

  // Once all are mounted, with their devices in the same order: starts those of the host. Waits
  // until each runs, or has gone into the background; throws if it cannot be started.
  void start_on_host(std::vector<base::UniqueFd> devices);
  // In the container, with the payload's privileges: starts the others, which end with the caller.
  void start_in_container();

 private:
  const std::vector<FuseProgram>& programs_;
  std::vector<base::UniqueFd> controls_;  // of the host's; empty for the others
  std::vector<base::UniqueFd> devices_;
};

}  // namespace runtime
