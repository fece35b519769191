// SPDX-License-Identifier: Apache-2.0
#include "runtime/mpi.h"

#include <gmock/gmock.h>

#include "tests/unit/runtime/tree_fixture.h"

namespace runtime {
namespace {

using testing::ElementsAre;

TEST(LauncherAdditions, ShowTheServersFoldersOnce) {
  const HostAdditions additions = launcher_additions(
      RootTree(), {"PMIX_SERVER_TMPDIR=/usr", "PMIX_DSTORE_21_BASE_PATH=/usr/bin",
                   "PMIX_DSTORE_ESH_BASE_PATH=/not/there", "OMPI_MCA_orte_jobfam_session_dir=etc"});
  ASSERT_EQ(additions.binds.size(), 1);
  EXPECT_EQ(additions.binds[0].destination, "/usr");
  EXPECT_FALSE(additions.binds[0].read_only);
}

TEST(FabricAdditions, AreWhatProgramsOpen) {
  const TreeFixture top;
  for (const char* name : {"issm0", "rdma_cm", "umad0", "uverbs0", "uverbs1"})
    top.file(std::string("/dev/infiniband/") + name);
  std::vector<std::string> paths;
  for (const HostDevice& device : fabric_additions(top.tree()).devices)
    paths.push_back(device.path);
  EXPECT_THAT(paths, ElementsAre("/dev/infiniband/rdma_cm", "/dev/infiniband/uverbs0",
                                 "/dev/infiniband/uverbs1"));
  EXPECT_TRUE(fabric_additions(TreeFixture().tree()).devices.empty());
}

TEST(LostPlaces, DoNotPass) {
  EnvironmentRequest environment;
  environment.host = {"OPAL_PREFIX=/not/there", "PMIX_PREFIX=/usr",
                      "OMPI_MCA_mca_base_component_path=/not/there:/usr/lib", "PRTE_PREFIX="};
  withhold_lost_places(environment);
  EXPECT_THAT(environment.withheld, ElementsAre("OPAL_PREFIX", "PRTE_PREFIX"));
}

TEST(SingleCopies, AreAvoidedUnlessTheUserHasSetThem) {
  EnvironmentRequest environment;
  environment.host = {"UCX_TLS=tcp,self"};
  avoid_single_copies(environment);
  EXPECT_THAT(environment.additional,
              ElementsAre(EnvironmentVariable{"OMPI_MCA_btl_vader_single_copy_mechanism", "none"}));
}

}  // namespace
}  // namespace runtime
