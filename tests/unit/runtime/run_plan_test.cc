// SPDX-License-Identifier: Apache-2.0
#include "runtime/run_plan.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "base/error.h"
#include "runtime/fuse_programs.h"

namespace runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

HostFacts facts(const std::string& directory = "/home/ada/project") {
  HostFacts facts;
  facts.caller = {"ada", 1000, 1000, "", "/home/ada", "/bin/sh"};
  facts.directory = HostDirectory{directory, directory, 1, 2};
  return facts;
}

std::vector<std::string> targets(const RunPlan& plan) {
  std::vector<std::string> names;
  for (const MountEntry& entry : plan.mounts) names.push_back(entry.target);
  return names;
}

const MountEntry* find(const RunPlan& plan, const std::string& target) {
  const auto found = std::ranges::find(plan.mounts, target, &MountEntry::target);
  return found == plan.mounts.end() ? nullptr : &*found;
}

RunOptions options() {
  RunOptions options;
  options.image = "x.sif";
  return options;
}

TEST(RunPlan, DefaultsInApptainersOrder) {
  EXPECT_THAT(
      targets(make_run_plan(options(), facts())),
      ElementsAre("/dev", "/etc/localtime", "/etc/hosts", "/proc", "/sys", "/tmp", "/var/tmp",
                  "/home/ada", "/etc/resolv.conf", "/etc/passwd", "/etc/group"));
}

TEST(RunPlan, ImagePathIsAbsolute) {
  const RunPlan plan = make_run_plan(options(), facts());
  EXPECT_EQ(plan.image, "/home/ada/project/x.sif");
  EXPECT_EQ(plan.action.environment.image_name, "x.sif");
}

TEST(RunPlan, WorkingDirectoryIsBoundOnlyWhereNothingShowsIt) {
  EXPECT_EQ(find(make_run_plan(options(), facts("/home/ada")), "/home/ada")->stage,
            MountStage::home);
  const RunPlan plan = make_run_plan(options(), facts("/lustre/job"));
  EXPECT_EQ(plan.mounts.back().target, "/lustre/job");
  EXPECT_TRUE(plan.mounts.back().unless_visible);
  for (const char* kept : {"/", "/usr", "/etc", "/proc/1", "/dev/shm", "/sys"})
    EXPECT_NE(make_run_plan(options(), facts(kept)).mounts.back().stage, MountStage::cwd) << kept;
}

TEST(RunPlan, LogicalWorkingDirectoryIsBoundToo) {
  HostFacts host = facts("/lustre/job");
  host.directory->logical = "/data/job";
  const RunPlan plan = make_run_plan(options(), host);
  ASSERT_NE(find(plan, "/data/job"), nullptr);
  EXPECT_EQ(find(plan, "/data/job")->source, "/lustre/job");
}

TEST(RunPlan, CustomHomeIsNotCoveredByTheWorkingDirectory) {
  RunOptions custom = options();
  custom.home = "/scratch:/home/ada";
  const RunPlan plan = make_run_plan(custom, facts("/home/ada"));
  EXPECT_EQ(std::ranges::count(plan.mounts, std::string("/home/ada"), &MountEntry::target), 1);
  EXPECT_EQ(find(plan, "/home/ada")->source, "/scratch");
  EXPECT_EQ(plan.caller.home, "/home/ada");
}

TEST(RunPlan, HomeCanBeLeftOutOrIsTheRoot) {
  RunOptions none = options();
  none.no_home = true;
  EXPECT_EQ(find(make_run_plan(none, facts("/x")), "/home/ada"), nullptr);
  HostFacts nobody = facts("/x");
  nobody.caller.home = "/";
  EXPECT_EQ(find(make_run_plan(options(), nobody), "/"), nullptr);
  HostFacts homeless = facts("/x");
  homeless.home_exists = false;
  EXPECT_EQ(find(make_run_plan(options(), homeless), "/home/ada")->kind, MountKind::directory);
}

TEST(RunPlan, ContainEmptiesTheWritableDirectories) {
  RunOptions contained = options();
  contained.contain = true;
  const RunPlan plan = make_run_plan(contained, facts("/lustre/job"));
  EXPECT_EQ(find(plan, "/dev")->kind, MountKind::device_files);
  for (const char* target : {"/tmp", "/var/tmp", "/home/ada"})
    EXPECT_EQ(find(plan, target)->kind, MountKind::directory) << target;
  EXPECT_EQ(find(plan, "/lustre/job"), nullptr);
  EXPECT_TRUE(plan.start.contained);
}

TEST(RunPlan, WorkdirHoldsWhatContainAndScratchEmpty) {
  RunOptions contained = options();
  contained.contain = true;
  contained.workdir = "w";
  contained.scratch = {"/s/x"};
  const RunPlan plan = make_run_plan(contained, facts("/lustre"));
  EXPECT_EQ(find(plan, "/tmp")->source, "/lustre/w/tmp");
  EXPECT_EQ(find(plan, "/var/tmp")->source, "/lustre/w/var_tmp");
  EXPECT_EQ(find(plan, "/home/ada")->source, "/lustre/w/home");
  EXPECT_EQ(find(plan, "/s/x")->source, "/lustre/w/scratch/s/x");
  EXPECT_TRUE(find(plan, "/s/x")->make_source);
}

TEST(RunPlan, UserBindsComeLastAndShallowFirst) {
  RunOptions bound = options();
  bound.binds = {{"/a", "/data/set"}, {"/b", "/data", true}, {"/b", "/data", true}};
  const RunPlan plan = make_run_plan(bound, facts());
  const std::vector<std::string> names = targets(plan);
  EXPECT_THAT(std::vector(names.end() - 2, names.end()), ElementsAre("/data", "/data/set"));
  EXPECT_TRUE(has(find(plan, "/data")->flags, MountFlags::read_only));
  EXPECT_TRUE(has(find(plan, "/data")->flags, MountFlags::no_devices));
  EXPECT_THAT(plan.warnings, ElementsAre("bind /b:/data is ignored: /b is bound there already"));
  EXPECT_THAT(plan.action.environment.bind_destinations, ElementsAre("/data/set", "/data"));
}

TEST(RunPlan, NoMountTakesWordsAndPaths) {
  RunOptions without = options();
  without.no_mount = {"proc", "sys", "tmp", "bind-paths", "home", "/etc/resolv.conf", "nonsense"};
  const RunPlan plan = make_run_plan(without, facts("/usr"));
  EXPECT_THAT(targets(plan), ElementsAre("/dev", "/etc/passwd", "/etc/group"));
  EXPECT_THAT(plan.warnings, ElementsAre("--no-mount: unknown word nonsense"));
}

TEST(RunPlan, AHomeThatIsTmpIsCoveredByWhatIsKept) {
  using Mounts = std::vector<std::pair<MountKind, std::string>>;
  RunOptions payload = options();
  payload.home = "/h:/tmp";
  const auto mounts_on_tmp = [&] {
    Mounts there;
    for (const MountEntry& entry : make_run_plan(payload, facts()).mounts)
      if (entry.target == "/tmp") there.emplace_back(entry.kind, entry.source);
    return there;
  };
  EXPECT_EQ(mounts_on_tmp(), (Mounts{{MountKind::bind, "/h"}, {MountKind::bind, "/tmp"}}));
  payload.contain = true;
  EXPECT_EQ(mounts_on_tmp(), (Mounts{{MountKind::directory, ""}, {MountKind::bind, "/h"}}));
  payload.workdir = "/w";
  EXPECT_EQ(mounts_on_tmp(), (Mounts{{MountKind::bind, "/h"}, {MountKind::bind, "/w/tmp"}}));
}

TEST(RunPlan, PidNamespaceHasItsOwnProc) {
  RunOptions own = options();
  own.pid_namespace = true;
  EXPECT_EQ(find(make_run_plan(own, facts()), "/proc")->kind, MountKind::proc);
  // One that goes into the background brings the namespace along.
  RunOptions served = options();
  served.fuse_programs = {parse_fuse_mount("container-daemon:program /mnt")};
  EXPECT_EQ(find(make_run_plan(served, facts()), "/proc")->kind, MountKind::proc);
}

std::string failure(const RunOptions& options) {
  try {
    make_run_plan(options, facts());
  } catch (const base::Error& error) {
    return error.what();
  }
  return "";
}

TEST(RunPlan, OneLayerTakesChanges) {
  RunOptions layered = options();
  layered.overlays = {{"/one", false}, {"/two", true}};
  EXPECT_EQ(failure(layered), "");
  layered.overlays[0].writable = true;
  EXPECT_EQ(failure(layered), "--overlay /two: there is /one to take changes already");
  layered.overlays[0].writable = false;
  layered.writable_tmpfs = true;
  EXPECT_EQ(failure(layered), "--overlay /two: there is --writable-tmpfs to take changes already");
  layered.writable_tmpfs = false;
  layered.writable = true;
  EXPECT_EQ(failure(layered), "--overlay cannot be used together with --writable");
  layered.overlays.clear();
  layered.writable_tmpfs = true;
  const RunPlan plan = make_run_plan(layered, facts());
  EXPECT_FALSE(plan.writable_tmpfs);
  EXPECT_THAT(plan.warnings, ElementsAre("--writable-tmpfs is ignored: --writable is given"));
}

TEST(RunPlan, FakeRootLivesInRootsHome) {
  RunOptions fake = options();
  fake.identity.fake_root = true;
  const RunPlan plan = make_run_plan(fake, facts());
  EXPECT_EQ(find(plan, "/root")->source, "/home/ada");
  EXPECT_EQ(plan.caller.name, "root");
  EXPECT_EQ(plan.caller.home, "/root");
  EXPECT_EQ(plan.cache_folder, "/home/ada/.cache/sifrun");
}

TEST(RunPlan, GeneratedFilesHaveTheirText) {
  RunOptions named = options();
  named.hostname = "box";
  named.name_servers = {"1.1.1.1", "::1"};
  const RunPlan plan = make_run_plan(named, facts());
  EXPECT_TRUE(plan.uts_namespace);
  EXPECT_EQ(find(plan, "/etc/hostname")->source, "box\n");
  EXPECT_EQ(find(plan, "/etc/resolv.conf")->source, "nameserver 1.1.1.1\nnameserver ::1\n");
}

TEST(RunPlan, ImageBindsNameAPathInside) {
  RunOptions bound = options();
  bound.binds = {{"/i.sif", "/data", false, true, "/set", 4}};
  const RunPlan plan = make_run_plan(bound, facts());
  EXPECT_EQ(find(plan, "/data")->kind, MountKind::image);
  EXPECT_EQ(find(plan, "/data")->inside, "/set");
  EXPECT_EQ(find(plan, "/data")->partition.id, 4U);
}

TEST(RunPlan, BadHomesAreRefused) {
  RunOptions bad = options();
  bad.home = "/a:b";
  EXPECT_EQ(failure(bad), "--home /a:b: the destination b must be an absolute path");
  bad.home = ":/b";
  EXPECT_EQ(failure(bad), "--home :/b: expected SRC[:DST]");
}

TEST(RunPlan, DescribesItself) {
  RunOptions bound = options();
  bound.binds = {{"/a", "/data", true}};
  bound.pid_namespace = true;
  const std::string text = describe(make_run_plan(bound, facts()));
  EXPECT_THAT(text, HasSubstr("namespaces  user mount pid\n"));
  EXPECT_THAT(text, HasSubstr("mount       bind /a on /data ro nosuid nodev\n"));
}

RunPlan plan_with_bind(const std::string& source, const std::string& destination,
                       const std::string& directory) {
  RunOptions bound = options();
  bound.binds.push_back({source, destination});
  return make_run_plan(bound, facts(directory));
}

TEST(WorkingDirectory, IsShownOverABindThatWouldHideIt) {
  const RunPlan plan = plan_with_bind("/data", "/tmp", "/tmp/job");
  EXPECT_EQ(find(plan, "/tmp/job")->source, "/tmp/job");
  EXPECT_EQ(find(plan_with_bind("/tmp", "/tmp", "/tmp/job"), "/tmp/job"), nullptr);
  EXPECT_EQ(find(plan_with_bind("/data", "/tmp/job", "/tmp/job"), "/tmp/job")->source, "/data");
}

TEST(Home, BelowABindIsAnEmptyOne) {
  const RunPlan plan = plan_with_bind("/data", "/home", "/home/ada/project");
  const MountEntry& last = plan.mounts.back();
  EXPECT_EQ(last.source, "/data/ada");
  EXPECT_EQ(last.target, "/home/ada");
  EXPECT_TRUE(last.make_source);
  const MountEntry* const directory = find(plan, "/home/ada/project");
  ASSERT_NE(directory, nullptr);
  EXPECT_TRUE(directory->unless_missing);
  const RunPlan same = plan_with_bind("/home", "/home", "/home/ada/project");
  EXPECT_EQ(std::ranges::count(same.mounts, MountStage::cwd, &MountEntry::stage), 0);
}

}  // namespace
}  // namespace runtime
