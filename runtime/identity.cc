// SPDX-License-Identifier: Apache-2.0
#include "runtime/identity.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text.h"

namespace runtime {
namespace {

// By number: linux/capability.h.
constexpr auto kNames = std::to_array<std::string_view>({"CHOWN",
                                                         "DAC_OVERRIDE",
                                                         "DAC_READ_SEARCH",
                                                         "FOWNER",
                                                         "FSETID",
                                                         "KILL",
                                                         "SETGID",
                                                         "SETUID",
                                                         "SETPCAP",
                                                         "LINUX_IMMUTABLE",
                                                         "NET_BIND_SERVICE",
                                                         "NET_BROADCAST",
                                                         "NET_ADMIN",
                                                         "NET_RAW",
                                                         "IPC_LOCK",
                                                         "IPC_OWNER",
                                                         "SYS_MODULE",
                                                         "SYS_RAWIO",
                                                         "SYS_CHROOT",
                                                         "SYS_PTRACE",
                                                         "SYS_PACCT",
                                                         "SYS_ADMIN",
                                                         "SYS_BOOT",
                                                         "SYS_NICE",
                                                         "SYS_RESOURCE",
                                                         "SYS_TIME",
                                                         "SYS_TTY_CONFIG",
                                                         "MKNOD",
                                                         "LEASE",
                                                         "AUDIT_WRITE",
                                                         "AUDIT_CONTROL",
                                                         "SETFCAP",
                                                         "MAC_OVERRIDE",
                                                         "MAC_ADMIN",
                                                         "SYSLOG",
                                                         "WAKE_ALARM",
                                                         "BLOCK_SUSPEND",
                                                         "AUDIT_READ",
                                                         "PERFMON",
                                                         "BPF",
                                                         "CHECKPOINT_RESTORE"});

std::uint32_t parse_id(std::string_view text, std::string_view value) {
  const auto id = base::find_number<std::uint32_t>(text);
  if (!id) {
    throw base::error("--security ", base::printable(value), ": ", base::printable(text),
                      " is no numeric id");
  }
  return *id;
}

std::string upper_case(std::string_view text) {
  std::string upper(text);
  std::ranges::transform(upper, upper.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return upper;
}

}  // namespace

std::optional<IdRange> find_id_range(std::string_view text, std::string_view user, uid_t uid) {
  const std::string number = std::to_string(uid);
  for (const std::string& line : base::split(text, '\n')) {
    const std::vector<std::string> fields = base::split(line, ':');
    if (fields.size() != 3 || (fields[0] != user && fields[0] != number)) continue;
    const auto start = base::find_number<std::uint32_t>(fields[1]);
    const auto count = base::find_number<std::uint32_t>(fields[2]);
    if (start && count && *count > 0) return IdRange{*start, *count};
  }
  return std::nullopt;
}

SecurityRequest parse_security(const std::vector<std::string>& values) {
  SecurityRequest request;
  for (const std::string& value : values) {
    const std::size_t colon = value.find(':');
    const std::string kind = value.substr(0, colon);
    const std::string rest = colon == std::string::npos ? "" : value.substr(colon + 1);
    if (kind == "seccomp") {
      request.seccomp_profile = rest;
    } else if (kind == "uid") {
      request.uid = parse_id(rest, value);
    } else if (kind == "gid") {
      // Further groups could not be entered without root's rights.
      request.gid = parse_id(rest.substr(0, rest.find(':')), value);
    } else if (kind == "apparmor" || kind == "selinux") {
      throw base::error("--security ", kind, " is not supported")
          .with_hint("start this program itself in the profile or context that it should have");
    }
  }
  return request;
}

Capabilities capability_bit(std::string_view name) {
  std::string upper = upper_case(name);
  if (upper.starts_with("CAP_")) upper.erase(0, 4);
  const auto* found = std::ranges::find(kNames, upper);
  return found == kNames.end() ? 0 : Capabilities{1} << (found - kNames.begin());
}

Capabilities parse_capabilities(std::string_view names, std::vector<std::string>& unknown) {
  Capabilities set = 0;
  for (const std::string& name : base::split(names, ',')) {
    if (name.empty()) continue;
    const Capabilities bit = upper_case(name) == "ALL" ? kAllCapabilities : capability_bit(name);
    if (bit == 0) unknown.push_back(name);
    set |= bit;
  }
  return set;
}

}  // namespace runtime
