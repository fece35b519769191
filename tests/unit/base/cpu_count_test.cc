// SPDX-License-Identifier: Apache-2.0
#include "base/cpu_count.h"

#include <gtest/gtest.h>

#include <map>

namespace base {
namespace {

std::optional<double> quota(const std::string& cgroup, const std::string& mounts,
                            const std::map<std::string, std::string>& files) {
  return cgroup_cpu_quota(cgroup, mounts, [&](const std::string& path) {
    const auto found = files.find(path);
    return found == files.end() ? std::nullopt : std::optional(found->second);
  });
}

constexpr const char* kVersion2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
constexpr const char* kVersion1 =
    "32 25 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "33 25 0:30 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n";

TEST(CgroupCpuQuota, TakesTheSmallestOfAllAncestorsInVersion2) {
  EXPECT_EQ(quota("0::/slurm/job_1/step\n", kVersion2,
                  {{"/sys/fs/cgroup/slurm/job_1/step/cpu.max", "max 100000\n"},
                   {"/sys/fs/cgroup/slurm/job_1/cpu.max", "250000 100000\n"},
                   {"/sys/fs/cgroup/slurm/cpu.max", "800000 100000\n"}}),
            2.5);
}

TEST(CgroupCpuQuota, ReadsVersion1) {
  EXPECT_EQ(quota("5:memory:/x\n4:cpu,cpuacct:/job\n", kVersion1,
                  {{"/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "400000\n"},
                   {"/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n"}}),
            4);
  EXPECT_EQ(quota("4:cpu,cpuacct:/job\n", kVersion1,
                  {{"/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n"},
                   {"/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n"}}),
            std::nullopt);
}

TEST(CgroupCpuQuota, FindsTheGroupThatAContainerSees) {
  EXPECT_EQ(quota("0::/docker/abc\n", "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 c ro\n",
                  {{"/sys/fs/cgroup/cpu.max", "150000 100000\n"}}),
            1.5);
}

TEST(CgroupCpuQuota, HasNoneWithoutGroupsOrWithNonsense) {
  EXPECT_EQ(quota("", "", {}), std::nullopt);
  EXPECT_EQ(quota("0::/\n", kVersion2, {{"/sys/fs/cgroup/cpu.max", "nonsense"}}), std::nullopt);
  EXPECT_EQ(quota("garbage", "a - b\n- - -\n", {}), std::nullopt);
}

TEST(AllowedCpuCount, IsAtLeastOne) { EXPECT_GE(allowed_cpu_count(), 1U); }

}  // namespace
}  // namespace base
