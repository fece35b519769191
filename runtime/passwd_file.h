// SPDX-License-Identifier: Apache-2.0
// passwd(5) and group(5): the caller's entries on the host, and the container's files made from the
// image's. A static program has no name-service modules, so ids that /etc/passwd lacks (LDAP, SSSD)
// are asked of the host's getent.
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace runtime {

inline constexpr std::size_t kMaxAccountFile = 1 << 20;  // of an image

struct Account {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string gecos, home, shell;
};

struct Group {
  std::string name;
  gid_t gid = 0;
};

// First entry of that id in the text of a passwd or group file; malformed lines are passed over.
std::optional<Account> find_account(std::string_view passwd_text, uid_t uid);
std::optional<Group> find_group(std::string_view group_text, gid_t gid);

// /etc/passwd, then `getent passwd UID`; nullopt where neither knows the id.
std::optional<Account> find_host_account(uid_t uid);
std::vector<Group> find_host_groups(std::span<const gid_t> gids);

// The image's passwd text with the caller's entry: one that the image has for the id gets the
// container's home, as Apptainer 1.4 has it; else a line is appended.
std::string passwd_with(std::string_view image_text, const Account& caller, std::string_view home);
// The image's group text with a line for each group, whose member is `user`. A gid that the image
// knows keeps its name, and can be asked for by the host's as well.
std::string group_with(std::string_view image_text, std::span<const Group> groups,
                       std::string_view user);

}  // namespace runtime
