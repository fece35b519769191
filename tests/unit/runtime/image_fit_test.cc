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

class FitOfBinds : public testing::Test {
 protected:
  void bind(const std::string& target, bool gives_way, std::vector<std::string> needs = {}) {
    MountEntry entry{MountStage::files, MountKind::bind, "/host", target};
    entry.gives_way = gives_way;
    entry.needs = std::move(needs);
    plan_.mounts.push_back(std::move(entry));
  }
  // Targets of the binds that are left.
  std::vector<std::string> fitted() {
    MountSources sources(plan_.mounts.size());
    for (std::optional<MountSource>& source : sources) source.emplace();
    const base::UniqueFd top(::open(image_.top().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    fit_to_image(plan_, sources, top.get());
    std::vector<std::string> left;
    for (std::size_t i = 0; i < sources.size(); ++i)
      if (sources[i]) left.push_back(plan_.mounts[i].target);
    return left;
  }
  TreeFixture image_;
  RunPlan plan_;
};

// The file server shows mount points that the image lacks: they must not count as its own.
TEST_F(FitOfBinds, WhatIsEmptyIsNoContent) {
  for (const char* full : {"/full", "/opt/conda/own"}) image_.file(full, "x");
  image_.file("/empty");
  image_.directory("/hollow");
  for (const char* target : {"/full", "/opt/conda", "/empty", "/hollow", "/absent"})
    bind(target, true);
  EXPECT_THAT(fitted(), ElementsAre("/empty", "/hollow", "/absent"));
}

TEST_F(FitOfBinds, OneNeedIsEnough) {
  image_.file("/usr/lib64/libEGL.so.1");
  bind("/a", false, {"/usr/share/egl", "/usr/lib64/libEGL.so.1"});
  bind("/b", false, {"/usr/share/egl", "/usr/lib/libEGL.so.1"});
  bind("/c", false);
  EXPECT_THAT(fitted(), ElementsAre("/a", "/c"));
}

}  // namespace
}  // namespace runtime
