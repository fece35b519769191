// SPDX-License-Identifier: Apache-2.0
#include "runtime/share_key.h"

#include <fcntl.h>
#include <gmock/gmock.h>

#include "base/error.h"
#include "base/syscalls.h"
#include "tests/unit/fails_with.h"

namespace runtime {
namespace {

using unit::fails_with;

using Environment = std::vector<std::string>;

sif::ImageFile some_image() {
  sif::ImageFile image;
  image.path = "/proc/self/exe";
  image.fd = base::open_file(image.path, O_RDONLY);
  image.offset = 4096;
  image.size = 100;
  return image;
}

TEST(KillDomain, IsTheJobAndTheControlGroup) {
  const Environment job = {"SLURM_JOB_ID=7", "HOME=/root", "PMIX_NAMESPACE=slurm.pmix.7.0"};
  EXPECT_EQ(kill_domain(job, "0::/a"), "SLURM_JOB_ID=7\nPMIX_NAMESPACE=slurm.pmix.7.0\n0::/a\n");
  EXPECT_NE(kill_domain(job, "0::/a"), kill_domain(job, "0::/b"));
  EXPECT_NE(kill_domain(job, "0::/a"), kill_domain({"SLURM_JOB_ID=8"}, "0::/a"));
}

TEST(KillDomain, TasksOfASlurmStepAreKilledTogether) {
  const auto domain = [](std::string_view cgroups) { return kill_domain({}, cgroups); };
  EXPECT_EQ(domain("4:memory:/slurm/uid_1/job_7/step_0/task_0\n0::/x\n"),
            domain("4:memory:/slurm/uid_1/job_7/step_0/task_1\n0::/x\n"));
  EXPECT_NE(domain("0::/system.slice/slurmstepd.scope/job_7/step_0/user/task_0"),
            domain("0::/system.slice/slurmstepd.scope/job_7/step_1/user/task_0"));
  EXPECT_NE(domain("0::/task_0"), domain("0::/task_1"));
}

TEST(ParallelStep, IsWhatLaunchersSay) {
  EXPECT_FALSE(is_parallel_step({}));
  EXPECT_FALSE(is_parallel_step({"PMI_SIZE=1", "OMPI_COMM_WORLD_LOCAL_SIZE=x"}));
  EXPECT_FALSE(is_parallel_step({"SLURM_STEP_NUM_TASKS=1", "SLURM_NTASKS=4"}));  // a batch script
  EXPECT_TRUE(is_parallel_step({"SLURM_STEP_NUM_TASKS=4"}));
  EXPECT_TRUE(is_parallel_step({"OMPI_COMM_WORLD_LOCAL_SIZE=2"}));
  EXPECT_TRUE(is_parallel_step({"PMI_SIZE=8"}));
  EXPECT_TRUE(is_parallel_step({"PMIX_NAMESPACE=prterun-host-1@1", "PMIX_RANK=0"}));
}

TEST(ShareKey, IsOneForTheSameImageAndDomain) {
  const sif::ImageFile image = some_image();
  const ShareRequest request;
  const auto key = find_share_key(request, "", image, {"SLURM_JOB_ID=7"});
  ASSERT_TRUE(key);
  EXPECT_EQ(key, find_share_key(request, "", some_image(), {"SLURM_JOB_ID=7", "A=b"}));
  EXPECT_NE(key, find_share_key(request, "", image, {"SLURM_JOB_ID=8"}));
  sif::ImageFile other = some_image();
  other.offset = 8192;
  EXPECT_NE(key, find_share_key(request, "", other, {"SLURM_JOB_ID=7"}));
}

TEST(ShareKey, ATagStandsForTheJob) {
  const sif::ImageFile image = some_image();
  const auto key = find_share_key(parse_share("mine"), "", image, {"SLURM_JOB_ID=7"});
  EXPECT_EQ(key, find_share_key(parse_share("mine"), "", image, {"SLURM_JOB_ID=8"}));
  EXPECT_NE(key, find_share_key(parse_share("yours"), "", image, {"SLURM_JOB_ID=7"}));
}

TEST(ShareKey, ContainedRunsShareOnlyWithTheirLike) {
  const sif::ImageFile image = some_image();
  EXPECT_FALSE(find_share_key({}, "mounts", image, {}));
  const Environment step = {"PMI_SIZE=2"};
  const auto key = find_share_key({}, "mounts", image, step);
  ASSERT_TRUE(key);
  EXPECT_NE(key, find_share_key({}, "other mounts", image, step));
  EXPECT_NE(key, find_share_key({}, "", image, step));
}

TEST(ShareKey, NoneWhereItIsSwitchedOff) {
  EXPECT_FALSE(find_share_key(parse_share("off"), "", some_image(), {"PMI_SIZE=2"}));
}

TEST(ShareWord, IsReadAndPrinted) {
  for (const char* word : {"auto", "off", "step-7"}) EXPECT_EQ(share_word(parse_share(word)), word);
  for (const std::string& word : {std::string(), std::string(256, 'x')})
    EXPECT_THAT([&] { parse_share(word); }, fails_with("--share: a tag has 1 to 255 bytes"));
}

}  // namespace
}  // namespace runtime
