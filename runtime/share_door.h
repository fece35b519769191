// SPDX-License-Identifier: Apache-2.0
// The holder's side of sharing: a thread of the file server that lets further starts of the same
// key in, by handing them the user namespace and a mount namespace with nothing but the image. It
// keeps the image mounted until some seconds after the last start that it knows of has ended; what
// those left running keeps the mount, and so the server, by itself.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/unique_fd.h"

namespace runtime {

// What a later start needs to find the holder.
struct ShareListener {
  base::UniqueFd socket;  // bound to the key's name and listening
  std::string key;
};

class ShareDoor {
 public:
  // `control`: the other end is the first start's, which sends the namespaces, or closes it.
  ShareDoor(ShareListener listener, base::UniqueFd control)
      : listener_(std::move(listener)), control_(std::move(control)) {}

  // Until nobody has been inside for a while. Afterwards nothing is held.
  void attend();

 private:
  bool receive_namespaces();
  bool add_member(pid_t process);
  void admit_one();
  void serve_until_idle();

  ShareListener listener_;
  base::UniqueFd control_;
  base::UniqueFd user_namespace_, mount_namespace_, self_, events_;
  unsigned members_ = 0;
};

}  // namespace runtime
