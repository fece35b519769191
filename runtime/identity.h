// SPDX-License-Identifier: Apache-2.0
// Who the caller is inside the container, and with which capabilities there: pure text and numbers.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace runtime {

struct IdentityRequest {
  bool fake_root = false;       // appear as user 0
  bool subordinate_ids = true;  // and have the ids that /etc/subuid grants, if any
  std::optional<uid_t> uid;     // appear as this user instead
  std::optional<gid_t> gid;
};

// A range of ids that /etc/subuid or /etc/subgid grants.
struct IdRange {
  std::uint32_t start = 0, count = 0;
  bool operator==(const IdRange&) const = default;
};
// The first range of that user, named or by number; nullopt if there is none.
std::optional<IdRange> find_id_range(std::string_view text, std::string_view user, uid_t uid);

// --security: "seccomp:FILE", "uid:ID", "gid:ID[:ID...]". What is unknown is passed over, as
// Apptainer does; throws Error for what this program cannot give.
struct SecurityRequest {
  std::string seccomp_profile;  // a path; empty: none
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
};
SecurityRequest parse_security(const std::vector<std::string>& values);

// Bits by capability number.
using Capabilities = std::uint64_t;
inline constexpr Capabilities kAllCapabilities = ~Capabilities{0};
// Names between commas, with or without "CAP_", in any case; "all" is every one. Unknown names are
// added to `unknown`.
Capabilities parse_capabilities(std::string_view names, std::vector<std::string>& unknown);
// "CAP_CHOWN" -> its bit; 0 if unknown.
Capabilities capability_bit(std::string_view name);

}  // namespace runtime
