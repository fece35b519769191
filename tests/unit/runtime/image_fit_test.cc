// SPDX-License-Identifier: Apache-2.0
#include "runtime/image_fit.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/host_libraries.h"
#include "tests/unit/runtime/elf_builder.h"
#include "tests/unit/runtime/tree_fixture.h"

namespace runtime {
namespace {

using testing::ElementsAre;

TEST(ImageFit, LibrariesThatGiveWayLeaveTheMountsNumbersAlone) {
  const TreeFixture image;
  image.file("/etc/ld.so.cache", build_ld_cache({{"libelf.so.1", "/usr/lib/libelf.so.1"},
                                                 {"libcuda.so.1", "/usr/lib/libcuda.so.1"}}));
  RunPlan plan;
  plan.host.libraries = {{"libelf.so.1", "/host/one/libelf.so.1.2", true},
                         {"libhsa.so.1", "/host/two/libhsa.so.1.3", true},
                         {"libcuda.so.1", "/host/three/libcuda.so.550", false}};
  const std::vector<std::string> mounted = library_directories(plan.host.libraries);
  MountSources sources;
  const base::UniqueFd top(::open(image.top().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  fit_to_image(plan, sources, top.get());
  EXPECT_EQ(library_directories(plan.host.libraries), mounted);
  EXPECT_THAT(library_links(plan.host.libraries),
              ElementsAre(LibraryLink{"libhsa.so.1", ".1/libhsa.so.1.3"},
                          LibraryLink{"libcuda.so.1", ".2/libcuda.so.550"}));
}

}  // namespace
}  // namespace runtime
