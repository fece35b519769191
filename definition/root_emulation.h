// SPDX-License-Identifier: Apache-2.0
// What makes installers work in a user namespace: the system calls that it forbids report success
// and do nothing. Devices are made in none; where root's own id is the only one, nothing can be
// given to other users, and nobody can become one.
#pragma once

#include <string>
#include <string_view>

#include "base/text.h"

namespace definition {

// The values are the file type's mask and the types of devices (stat(2)).
inline constexpr std::string_view kOfDevices =
    R"({"names": ["mknod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0,
     "args": [{"index": 1, "op": "SCMP_CMP_MASKED_EQ", "value": 61440, "valueTwo": 8192}]},
    {"names": ["mknod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0,
     "args": [{"index": 1, "op": "SCMP_CMP_MASKED_EQ", "value": 61440, "valueTwo": 24576}]},
    {"names": ["mknodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0,
     "args": [{"index": 2, "op": "SCMP_CMP_MASKED_EQ", "value": 61440, "valueTwo": 8192}]},
    {"names": ["mknodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0,
     "args": [{"index": 2, "op": "SCMP_CMP_MASKED_EQ", "value": 61440, "valueTwo": 24576}]})";
inline constexpr std::string_view kOfUsers =
    R"({"names": ["chown", "chown32", "fchown", "fchown32", "lchown", "lchown32", "fchownat",
               "setuid", "setuid32", "setgid", "setgid32", "setreuid", "setreuid32", "setregid", "setregid32",
               "setresuid", "setresuid32", "setresgid", "setresgid32", "setgroups", "setgroups32", "capset"],
     "action": "SCMP_ACT_ERRNO", "errnoRet": 0})";

// A seccomp profile; `has_users`: there are other ids than root's.
inline std::string root_emulation(bool has_users) {
  return base::cat(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [)", kOfDevices,
                   has_users ? "" : ", ", has_users ? "" : kOfUsers, "]}\n");
}

// apt would notice that it has not become its own user, so it is told not to try (APT_CONFIG).
inline constexpr std::string_view kAptConfiguration = "APT::Sandbox::User \"root\";\n";

}  // namespace definition
