// SPDX-License-Identifier: Apache-2.0
#include "base/cpu_count.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"

namespace base {
namespace {

constexpr std::size_t kMaxHostText = 16 << 20;  // machines may have many thousands of mounts

struct Hierarchy {
  std::string mount_point;
  std::string root;  // the group that the mount point shows
  bool version2 = false;
};

// mountinfo: id parent dev ROOT MOUNTPOINT options [tags] - TYPE source SUPER_OPTIONS (proc(5)).
std::optional<Hierarchy> parse_mount(const std::string& line) {
  const std::vector<std::string> fields = split(line, ' ');
  const auto dash = std::find(fields.begin(), fields.end(), "-");
  if (fields.size() < 6 || fields.end() - dash < 4) return std::nullopt;
  Hierarchy found{.mount_point = fields[4], .root = fields[3], .version2 = dash[1] == "cgroup2"};
  if (found.version2) return found;
  const std::vector<std::string> controllers = split(dash[3], ',');
  const bool has_cpu =
      std::find(controllers.begin(), controllers.end(), "cpu") != controllers.end();
  if (dash[1] == "cgroup" && has_cpu) return found;
  return std::nullopt;
}

// The path of our group from "0::/path" (version 2) or "4:cpu,cpuacct:/path".
std::optional<std::string> group_path(std::string_view cgroup_text, bool version2) {
  for (const std::string& line : split(cgroup_text, '\n')) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::vector<std::string> controllers =
        split(std::string_view(line).substr(first + 1, second - first - 1), ',');
    const bool ours =
        version2 ? line.starts_with("0::")
                 : std::find(controllers.begin(), controllers.end(), "cpu") != controllers.end();
    if (ours) return line.substr(second + 1);
  }
  return std::nullopt;
}

std::optional<double> ratio(const std::string& quota, const std::string& period) {
  const double q = std::strtod(quota.c_str(), nullptr);
  const double p = std::strtod(period.c_str(), nullptr);
  if (q <= 0 || p <= 0) return std::nullopt;  // "max" and -1 mean no limit
  return q / p;
}

std::optional<double> quota_of(const std::string& folder, bool version2,
                               const FindFile& find_file) {
  if (version2) {
    const std::optional<std::string> text = find_file(folder + "/cpu.max");
    const std::vector<std::string> fields = split(text.value_or(""), ' ');
    return fields.size() < 2 ? std::nullopt : ratio(fields[0], fields[1]);
  }
  const auto quota = find_file(folder + "/cpu.cfs_quota_us");
  const auto period = find_file(folder + "/cpu.cfs_period_us");
  return quota && period ? ratio(*quota, *period) : std::nullopt;
}

}  // namespace

std::optional<double> cgroup_cpu_quota(std::string_view cgroup_text, std::string_view mountinfo,
                                       const FindFile& find_file) {
  std::optional<double> smallest;
  for (const std::string& line : split(mountinfo, '\n')) {
    const std::optional<Hierarchy> hierarchy = parse_mount(line);
    if (!hierarchy) continue;
    std::optional<std::string> path = group_path(cgroup_text, hierarchy->version2);
    if (!path) continue;
    // In a container the mount shows a group below the hierarchy's root.
    if (hierarchy->root != "/" && path->starts_with(hierarchy->root))
      path = path->substr(hierarchy->root.size());
    std::string folder = *path == "/" ? "" : *path;
    for (;;) {
      const auto quota = quota_of(hierarchy->mount_point + folder, hierarchy->version2, find_file);
      if (quota) smallest = std::min(smallest.value_or(*quota), *quota);
      const std::size_t slash = folder.rfind('/');
      if (slash == std::string::npos) break;
      folder.resize(slash);
    }
  }
  return smallest;
}

unsigned affinity_cpu_count() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  // Fails with EINVAL on machines with more CPUs than the mask has bits.
  if (::sched_getaffinity(0, sizeof mask, &mask) != 0) return 0;
  return static_cast<unsigned>(CPU_COUNT(&mask));
}

unsigned allowed_cpu_count() {
  unsigned count = affinity_cpu_count();
  if (count == 0) count = std::thread::hardware_concurrency();
  const auto find = [](const std::string& path) -> std::optional<std::string> {
    try {
      return find_small_file(path, kMaxHostText);
    } catch (const Error&) {
      return std::nullopt;  // what cannot be read limits nothing
    }
  };
  const auto quota = cgroup_cpu_quota(find("/proc/self/cgroup").value_or(""),
                                      find("/proc/self/mountinfo").value_or(""), find);
  if (quota) count = std::min(count, static_cast<unsigned>(std::ceil(*quota)));
  return std::max(count, 1U);
}

}  // namespace base
