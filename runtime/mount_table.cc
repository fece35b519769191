// SPDX-License-Identifier: Apache-2.0
#include "runtime/mount_table.h"

#include <algorithm>
#include <array>

#include "runtime/root_tree.h"

namespace runtime {
namespace {

using enum MountWhen;
using enum Importance;
using Kind = MountKind;
using Stage = MountStage;

constexpr MountFlags kPlain = MountFlags::no_setuid | MountFlags::no_devices;
constexpr MountFlags kDevices = MountFlags::no_setuid;

constexpr auto kTable = std::to_array<MountRow>({
    {"dev", uncontained, Stage::devices, Kind::bind, "/dev", "/dev", kDevices, expected, 0},
    {"dev", contained, Stage::devices, Kind::device_files, "", "/dev", kDevices, expected, 0755},
    {"dev", own_ipc, Stage::devices, Kind::message_queues, "", "/dev/mqueue", kPlain, optional, 0},
    {"bind-paths", always, Stage::system_files, Kind::bind, "/etc/localtime", "/etc/localtime",
     kPlain, optional, 0},
    {"bind-paths", always, Stage::system_files, Kind::bind, "/etc/hosts", "/etc/hosts", kPlain,
     optional, 0},
    {"proc", host_pids, Stage::kernel, Kind::bind, "/proc", "/proc", kPlain, expected, 0},
    {"proc", own_pids, Stage::kernel, Kind::proc, "/proc", "/proc", kPlain, expected, 0},
    {"sys", always, Stage::kernel, Kind::bind, "/sys", "/sys", kPlain, expected, 0},
    {"tmp", uncontained, Stage::temporary, Kind::bind, "/tmp", "/tmp", kPlain, expected, 0},
    {"tmp", uncontained, Stage::temporary, Kind::bind, "/var/tmp", "/var/tmp", kPlain, optional, 0},
    {"tmp", contained, Stage::temporary, Kind::directory, "tmp", "/tmp", kPlain, expected, 01777},
    {"tmp", contained, Stage::temporary, Kind::directory, "var_tmp", "/var/tmp", kPlain, expected,
     01777},
    {"", always, Stage::files, Kind::bind, "/etc/resolv.conf", "/etc/resolv.conf", kPlain, optional,
     0},
    {"", always, Stage::files, Kind::passwd_file, "", "/etc/passwd", kPlain, optional, 0},
    {"", always, Stage::files, Kind::group_file, "", "/etc/group", kPlain, optional, 0},
    {"", own_hostname, Stage::files, Kind::text_file, "", "/etc/hostname", kPlain, optional, 0},
});

struct KindName {
  MountKind kind;
  std::string_view name;
};
constexpr auto kKindNames = std::to_array<KindName>({
    {Kind::bind, "bind"},
    {Kind::image, "image"},
    {Kind::directory, "directory"},
    {Kind::proc, "proc"},
    {Kind::device_files, "device-files"},
    {Kind::host_libraries, "host-libraries"},
    {Kind::text_file, "text"},
    {Kind::fuse_program, "fuse"},
    {Kind::message_queues, "mqueue"},
    {Kind::passwd_file, "passwd"},
    {Kind::group_file, "group"},
});

}  // namespace

std::span<const MountRow> mount_table() { return kTable; }

bool is_covered(std::span<const MountEntry> mounts, std::size_t index) {
  const std::string& target = mounts[index].target;
  return std::ranges::any_of(mounts.first(index), [&](const MountEntry& earlier) {
    return earlier.target != "/" && earlier.target != target && is_within(target, earlier.target);
  });
}

bool NeedsCheck::are_met(const MountEntry& entry) {
  const auto has = [&](const std::string& path) {
    const auto [found, is_new] = known_.try_emplace(path);
    if (is_new) found->second = exists_(path);
    return found->second;
  };
  return entry.needs.empty() || std::ranges::any_of(entry.needs, has);
}

bool makes_target(const MountEntry& entry) { return entry.kind <= MountKind::message_queues; }

bool covers_link(const MountEntry& entry) { return entry.target == "/etc/localtime"; }

bool is_common(const MountEntry& entry) {
  return entry.stage <= Stage::home || std::ranges::any_of(kTable, [&](const MountRow& row) {
           return row.kind == Kind::bind && row.stage == entry.stage && row.target == entry.target;
         });
}

std::string_view kind_name(MountKind kind) {
  for (const KindName& row : kKindNames) {
    if (row.kind == kind) return row.name;
  }
  return "unknown";
}

}  // namespace runtime
