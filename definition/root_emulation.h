// SPDX-License-Identifier: Apache-2.0
// What makes installers work where root's own id is the only one: the system calls that give files
// to other users, or become them, report success and do nothing.
#pragma once

#include <string_view>

namespace definition {

// A seccomp profile. The values are the file type's mask and the types of devices (stat(2)).
inline constexpr std::string_view kRootEmulation = R"({
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [
    {"names": ["chown", "chown32", "fchown", "fchown32", "lchown", "lchown32", "fchownat",
               "setuid", "setuid32", "setgid", "setgid32", "setreuid", "setreuid32", "setregid", "setregid32",
               "setresuid", "setresuid32", "setresgid", "setresgid32", "setgroups", "setgroups32", "capset"],
     "action": "SCMP_ACT_ERRNO", "errnoRet": 0},
    {"names": ["mknod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0,
     "args": [{"index": 1, "op": "SCMP_CMP_MASKED_EQ", "value": 61440, "valueTwo": 8192}]},
    {"names": ["mknod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0,
     "args": [{"index": 1, "op": "SCMP_CMP_MASKED_EQ", "value": 61440, "valueTwo": 24576}]},
    {"names": ["mknodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0,
     "args": [{"index": 2, "op": "SCMP_CMP_MASKED_EQ", "value": 61440, "valueTwo": 8192}]},
    {"names": ["mknodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0,
     "args": [{"index": 2, "op": "SCMP_CMP_MASKED_EQ", "value": 61440, "valueTwo": 24576}]}
  ]
})";

// apt would notice that it has not become its own user, so it is told not to try (APT_CONFIG).
inline constexpr std::string_view kAptConfiguration = "APT::Sandbox::User \"root\";\n";

}  // namespace definition
