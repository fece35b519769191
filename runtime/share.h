// SPDX-License-Identifier: Apache-2.0
// The starter's side of sharing: finds the holder of a key, or becomes it. The rendezvous is an
// abstract socket (unix(7)): it leaves nothing behind, whoever is killed. Anybody may take its name
// first, so nothing is believed but what the kernel says about the sender of the answer.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "runtime/share_door.h"

namespace runtime {

inline constexpr std::size_t kMaxShareKey = 16 << 10;
inline constexpr std::size_t kMaxRootKey = 16 << 10;
// A start asks with the share's key, this, and the root's key.
inline constexpr char kEndOfKey = '\0';
inline constexpr std::size_t kMaxShareRequest = kMaxShareKey + 1 + kMaxRootKey;
inline constexpr std::string_view kShareWelcome = "welcome";
inline constexpr std::string_view kShareRefusal = "no";

// Where the image of another start can be had: see ShareDoor.
struct SharedNamespaces {
  base::UniqueFd user, mount;
  base::UniqueFd root;  // a mount namespace whose root is finished; invalid if there is none
};

struct Share {
  std::optional<SharedNamespaces> joined;
  std::optional<ShareListener> listener;  // ours to serve; others wait for us already
};

// Neither of both on any doubt: then the mount is private. Waits while the holder is still being
// started, but not for ever. To be called in the namespaces that the key was made in. A root is
// asked for where its key is not empty.
Share find_share(const std::string& key, const std::string& root_key);

}  // namespace runtime
