// SPDX-License-Identifier: Apache-2.0
#include "runtime/rocm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/runtime/elf_builder.h"
#include "tests/unit/runtime/tree_fixture.h"

namespace runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Rocm, TakesWhatTheListNames) {
  const TreeFixture top;
  top.file("/opt/rocm/lib/libhsa-runtime64.so.1.13");
  top.link("/opt/rocm/lib/libhsa-runtime64.so.1", "libhsa-runtime64.so.1.13");
  top.file("/usr/lib/libdrmother.so.2");
  top.file("/etc/ld.so.cache",
           build_ld_cache({{"libhsa-runtime64.so.1", "/opt/rocm/lib/libhsa-runtime64.so.1"},
                           {"libdrmother.so.2", "/usr/lib/libdrmother.so.2"}}));
  top.file("/opt/rocm/bin/rocminfo");
  top.file("/dev/kfd");
  top.file("/dev/dri/renderD128");
  const HostAdditions out = rocm_additions(top.tree(), {"HIP_VISIBLE_DEVICES=1"});
  EXPECT_THAT(out.libraries,
              ElementsAre(HostLibrary{"libhsa-runtime64.so.1",
                                      top.top() + "/opt/rocm/lib/libhsa-runtime64.so.1.13", true}));
  EXPECT_EQ(out.binds.at(0).destination, "/usr/bin/rocminfo");
  EXPECT_EQ(out.devices.size(), 2U);
  EXPECT_THAT(out.variables, ElementsAre(EnvironmentVariable{"HIP_VISIBLE_DEVICES", "1"}));
  EXPECT_TRUE(out.warnings.empty());
}

TEST(Rocm, WarnsWhereThereIsNone) {
  const TreeFixture top;
  EXPECT_THAT(rocm_additions(top.tree(), {}).warnings, ElementsAre(HasSubstr("/dev/kfd")));
}

}  // namespace
}  // namespace runtime
