// SPDX-License-Identifier: Apache-2.0
#include "runtime/root_key.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>

namespace runtime {
namespace {

bool has_own_namespaces(const RunPlan& plan) {
  return plan.pid_namespace || plan.ipc_namespace || plan.uts_namespace || plan.empty_network;
}

bool is_same_for_all(const MountEntry& entry) {
  if (entry.kind == MountKind::passwd_file || entry.kind == MountKind::group_file) return true;
  return entry.kind == MountKind::bind && !entry.make_source && !entry.unless_missing &&
         !entry.gives_way && entry.needs.empty();
}

// Texts of users end with a NUL, which none of them can contain.
void append_text(std::string& key, std::string_view text) { key.append(text).push_back('\0'); }

// False if the source is missing and not optional: each run must warn or fail by itself.
bool append_source(std::string& key, const MountEntry& entry) {
  struct stat status {};
  if (::stat(entry.source.c_str(), &status) == 0) {
    key += numbers({status.st_dev, status.st_ino});
    return true;
  }
  key += "none ";
  return entry.importance == Importance::optional;
}

void append_accounts(std::string& key, const RunPlan& plan) {
  const Account& caller = plan.caller;
  key += numbers({caller.uid, caller.gid});
  for (const std::string& text : {caller.name, caller.gecos, caller.home, caller.shell})
    append_text(key, text);
  for (const Group& group : plan.groups) {
    key += numbers({group.gid});
    append_text(key, group.name);
  }
}

}  // namespace

std::optional<std::string> find_root_key(const RunPlan& plan) {
  if (has_own_namespaces(plan) || plan.writable || plan.writable_tmpfs || !plan.overlays.empty() ||
      !plan.host.libraries.empty() || !plan.host.nvidia_version.empty() ||
      !std::ranges::all_of(plan.mounts, is_same_for_all))
    return std::nullopt;
  std::string key;
  // Importance, stage and mode make no difference where all mounts succeed.
  for (const MountEntry& entry : plan.mounts) {
    key += numbers({static_cast<std::uint64_t>(entry.kind), static_cast<std::uint64_t>(entry.flags),
                    entry.unless_visible});
    if (entry.kind == MountKind::bind && !append_source(key, entry)) return std::nullopt;
    append_text(key, entry.source);
    append_text(key, entry.target);
  }
  append_accounts(key, plan);
  return key;
}

}  // namespace runtime
