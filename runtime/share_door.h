// SPDX-License-Identifier: Apache-2.0
// The holder's side of sharing: a thread of the file server that lets further starts of the same
// key in, by handing them the user namespace and a mount namespace with nothing but the image; and,
// if they would make just the root that the first start has made, the mount namespace of that. It
// keeps the image mounted until a second after the last start that it knows of has ended; what
// those left running keeps the mount, and so the server, by itself.
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace runtime {

// What a later start needs to find the holder.
struct ShareListener {
  base::UniqueFd socket;  // bound to the key's name and listening
  std::string key;
};

// Of the caller's mount namespace, to be polled for changes from now on; invalid on a failure.
base::UniqueFd open_mount_table();

// A root that others may enter as it is, while neither the host's mounts nor its own files have
// changed.
struct FinishedRoot {
  bool is_unchanged() const;

  std::string key;
  base::UniqueFd mount_namespace;
  base::UniqueFd mount_table;         // the host's, opened before the first mount was copied
  std::vector<base::UniqueFd> files;  // made for the root; whoever is inside may write to them
  std::string state_of_files;         // before any payload was inside
};

// A text that is another one once the files have been written to.
std::string state_of(std::span<const base::UniqueFd> files);

// To the door. Not sent: a root with more files than a message can carry.
void send_root(int door, const FinishedRoot& root);

class ShareDoor {
 public:
  // `control`: the other end is the first start's, which sends the namespaces and later perhaps
  // its root, or closes it.
  ShareDoor(ShareListener listener, base::UniqueFd control)
      : listener_(std::move(listener)), control_(std::move(control)) {}

  // Until nobody has been inside for a while. Afterwards nothing is held.
  void attend();

 private:
  bool receive_namespaces();
  void receive_root();
  void drop_root();
  bool add_member(pid_t process);
  void admit_one();
  void welcome(int client, std::string_view root_key);
  void serve_until_idle();

  ShareListener listener_;
  base::UniqueFd control_;
  base::UniqueFd user_namespace_, mount_namespace_, self_, events_;
  std::optional<FinishedRoot> root_;
  base::UniqueFd mount_changes_;  // the host's mount table once more, watched while there is a root
  unsigned members_ = 0;
};

}  // namespace runtime
