// SPDX-License-Identifier: Apache-2.0
#include "runtime/nvidia.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "runtime/nvidia_files.h"
#include "runtime/nvidia_libraries.h"
#include "tests/unit/runtime/elf_builder.h"
#include "tests/unit/runtime/tree_fixture.h"

namespace runtime {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kVersion = "550.163.01";

class Nvidia : public testing::Test {
 protected:
  // A driver as Debian lays it out: alternatives, and a directory of its own.
  void install() {
    for (const char* stem : {"libcuda", "libnvidia-ml", "libnvidia-ptxjitcompiler"}) {
      const std::string soname = base::cat(stem, ".so.1");
      const std::string own = base::cat("/usr/lib/x/nvidia/", stem, ".so.", kVersion);
      top_.file(own, "library");
      top_.link("/etc/alternatives/" + soname, own);
      top_.link("/usr/lib/x/" + soname, "/etc/alternatives/" + soname);
      entries_.push_back({soname, "/usr/lib/x/" + soname});
    }
    add("libnvidia-glcore.so.550.163.01", "libnvidia-glcore.so.550.163.01");
    add("libnvidia-egl-gbm.so.1", "libnvidia-egl-gbm.so.1.1.2");
    add("libnvrtc.so.12", "libnvrtc.so.12.4.127");
    add("libnvidia-container.so.1", "libnvidia-container.so.1.17.0");
    add("libGL.so.1", "libGL.so.1.7.0");
    add("libnvidia-future.so.1", "libnvidia-future.so.550.163.01");
    write_cache();
    top_.file("/usr/bin/nvidia-smi");
  }
  void add(const std::string& soname, const std::string& file) {
    top_.file("/usr/lib/x/" + file, "library");
    if (soname != file) top_.link("/usr/lib/x/" + soname, file);
    entries_.push_back({soname, "/usr/lib/x/" + soname});
  }
  void write_cache() { top_.file("/etc/ld.so.cache", build_ld_cache(entries_)); }
  void load_module(const std::string& version) {
    top_.file("/proc/driver/nvidia/version",
              "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  " + version +
                  "  Release Build  (builder@host)\nGCC version: 12\n");
    for (const char* node : {"nvidiactl", "nvidia0", "nvidia-uvm"})
      top_.file(base::cat("/dev/", node));
  }
  HostAdditions additions(GpuMode mode = GpuMode::automatic) {
    NvidiaRequest request;
    request.mode = mode;
    request.environment = environment_;
    request.kernel_release = kernel_;
    return nvidia_additions(top_.tree(), request);
  }
  static std::vector<std::string> names(const HostAdditions& additions) {
    std::vector<std::string> out;
    for (const HostLibrary& library : additions.libraries) out.push_back(library.name);
    return out;
  }

  TreeFixture top_;
  std::vector<CacheEntryPlan> entries_;
  std::vector<std::string> environment_;
  std::string kernel_ = "6.1.0-37-amd64";
};

// The binds' destinations, and what they need of the image.
std::map<std::string, std::vector<std::string>> needs_of(const HostAdditions& additions) {
  std::map<std::string, std::vector<std::string>> out;
  for (const HostBind& bind : additions.binds) out[bind.destination] = bind.needs;
  return out;
}

TEST_F(Nvidia, TakesTheFilesOfTheDriverAndNoOthers) {
  install();
  load_module(kVersion);
  const HostAdditions found = additions();
  const std::vector<std::string> got = names(found);
  EXPECT_THAT(got, Contains("libcuda.so.1"));
  EXPECT_THAT(got, Contains("libcuda.so"));
  EXPECT_THAT(got, Contains("libcuda.so.550.163.01"));
  EXPECT_THAT(got, Contains("libnvidia-glcore.so.550.163.01"));
  EXPECT_THAT(got, Contains("libnvidia-egl-gbm.so.1"));
  EXPECT_THAT(got, Contains("libnvidia-future.so.1"));
  for (const char* foreign : {"libnvrtc.so.12", "libnvidia-container.so.1", "libGL.so.1"})
    EXPECT_THAT(got, Not(Contains(foreign)));
  EXPECT_THAT(found.libraries,
              Contains(HostLibrary{"libcuda.so.1",
                                   top_.top() + "/usr/lib/x/nvidia/libcuda.so.550.163.01"}));
  EXPECT_THAT(found.binds,
              Contains(HostBind{top_.top() + "/usr/bin/nvidia-smi", "/usr/bin/nvidia-smi"}));
  EXPECT_EQ(found.nvidia_version, kVersion);
  EXPECT_THAT(found.warnings, IsEmpty());
}

TEST_F(Nvidia, OtherArchitecturesOfTheCacheAreNotTaken) {
  install();
  load_module(kVersion);
  for (CacheEntryPlan& entry : entries_) entry.flags = 0x1234;
  write_cache();
  EXPECT_THAT(names(additions()), IsEmpty());
}

TEST_F(Nvidia, IsSilentWhereThereIsNone) {
  const HostAdditions found = additions();
  EXPECT_THAT(found.libraries, IsEmpty());
  EXPECT_THAT(found.warnings, IsEmpty());
  EXPECT_THAT(found.notes, IsEmpty());
}

// nvidia-smi, run by root without a driver, leaves such a node behind.
TEST_F(Nvidia, AControlNodeAloneIsNoGpu) {
  install();
  top_.file("/dev/nvidiactl");
  EXPECT_THAT(names(additions()), IsEmpty());
}

TEST_F(Nvidia, InsistingWarns) {
  EXPECT_THAT(additions(GpuMode::required).warnings,
              ElementsAre(HasSubstr("could not find any NVIDIA driver libraries")));
  install();
  EXPECT_THAT(additions(GpuMode::required).warnings, ElementsAre(HasSubstr("no NVIDIA device")));
}

TEST_F(Nvidia, ForbiddenIsForbidden) {
  install();
  load_module(kVersion);
  EXPECT_THAT(names(additions(GpuMode::forbidden)), IsEmpty());
}

TEST_F(Nvidia, AnUpdatedDriverWithoutRebootIsTold) {
  install();
  load_module("535.104.05");
  const HostAdditions found = additions();
  EXPECT_THAT(names(found), IsEmpty());
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("the NVIDIA kernel module is 535.104.05")));
}

TEST_F(Nvidia, VoidMeansNothingAtAll) {
  install();
  load_module(kVersion);
  environment_ = {"NVIDIA_VISIBLE_DEVICES=void"};
  EXPECT_THAT(names(additions(GpuMode::required)), IsEmpty());
  environment_ = {"NVIDIA_VISIBLE_DEVICES="};
  EXPECT_THAT(names(additions()), IsEmpty());
}

TEST_F(Nvidia, CapabilitiesChooseTheFiles) {
  install();
  load_module(kVersion);
  environment_ = {"NVIDIA_DRIVER_CAPABILITIES=utility,sorcery"};
  const HostAdditions found = additions();
  EXPECT_THAT(names(found), Contains("libnvidia-ml.so.1"));
  EXPECT_THAT(names(found), Not(Contains("libcuda.so.1")));
  EXPECT_THAT(names(found), Not(Contains("libnvidia-glcore.so.550.163.01")));
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("unknown word sorcery")));
}

TEST_F(Nvidia, ADirectoryWithoutCacheGetsItsSonames) {
  for (const char* stem : {"libcuda", "libnvidia-ml", "libnvidia-glcore"}) {
    ElfPlan plan;
    plan.soname = base::cat(stem, ".so.1");
    top_.file(base::cat("/usr/local/nvidia/lib64/", stem, ".so.580.65.06"),
              ElfBuilder::build(plan));
  }
  top_.link("/usr/local/nvidia/lib64/libcuda.so.1", "libcuda.so.580.65.06");
  top_.file("/usr/local/nvidia/bin/nvidia-smi");
  load_module("580.65.06");
  const HostAdditions found = additions();
  for (const char* name : {"libcuda.so.1", "libnvidia-ml.so.1", "libnvidia-glcore.so.1"})
    EXPECT_THAT(names(found), Contains(name));
  EXPECT_EQ(found.binds.at(0).destination, "/usr/bin/nvidia-smi");
}

TEST_F(Nvidia, VendorFilesComeWhereTheirReaderIs) {
  install();
  load_module(kVersion);
  const std::vector<std::string> visual = {
      "/etc/glvnd/egl_vendor.d/10_nvidia.json",
      "/usr/share/egl/egl_external_platform.d/15_nvidia_gbm.json",
      "/usr/share/glvnd/egl_vendor.d/10_nvidia.json",
      "/usr/share/vulkan/icd.d/nvidia_icd.x86_64.json",
      "/etc/vulkan/implicit_layer.d/nvidia_layers.json",
      "/usr/share/nvidia/nvidia-application-profiles-550-rc",
      "/usr/lib64/xorg/modules/drivers/nvidia_drv.so",
      "/usr/lib/xorg/modules/extensions/libglxserver_nvidia.so",
      "/usr/share/X11/xorg.conf.d/nvidia-drm-outputclass.conf"};
  for (const std::string& path : visual) top_.file(path);
  for (const char* path : {"/etc/OpenCL/vendors/nvidia.icd", "/usr/share/nvidia/nvoptix.bin"})
    top_.file(path);
  for (const char* path :
       {"/usr/share/glvnd/egl_vendor.d/50_mesa.json", "/usr/share/vulkan/icd.d/intel_icd.json"})
    top_.file(path);
  const auto found = needs_of(additions());
  for (const std::string& path : visual) {
    ASSERT_TRUE(found.contains(path)) << path;
    EXPECT_THAT(found.at(path), Contains(std::string(parent_path(path))));
    EXPECT_GT(found.at(path).size(), 2U);
  }
  EXPECT_THAT(found.at("/usr/share/vulkan/icd.d/nvidia_icd.x86_64.json"),
              Contains("/usr/lib64/libvulkan.so.1"));
  EXPECT_THAT(found.at("/etc/OpenCL/vendors/nvidia.icd"), IsEmpty());
  EXPECT_THAT(found.at("/usr/share/nvidia/nvoptix.bin"), IsEmpty());
  EXPECT_FALSE(found.contains("/usr/share/glvnd/egl_vendor.d/50_mesa.json"));
  EXPECT_FALSE(found.contains("/usr/share/vulkan/icd.d/intel_icd.json"));
  environment_ = {"NVIDIA_DRIVER_CAPABILITIES=compute,utility"};
  const auto fewer = needs_of(additions());
  for (const std::string& path : visual) EXPECT_FALSE(fewer.contains(path)) << path;
  EXPECT_TRUE(fewer.contains("/etc/OpenCL/vendors/nvidia.icd"));
}

TEST_F(Nvidia, VendorFilesOfADriverBelowAPrefixGoToTheUsualPlace) {
  install();
  load_module(kVersion);
  top_.file("/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json");
  EXPECT_THAT(needs_of(additions()),
              Contains(testing::Key("/usr/share/vulkan/icd.d/nvidia_icd.json")));
}

TEST_F(Nvidia, TheBackEndOfGbmLiesBesideTheImagesLibrary) {
  add("libnvidia-allocator.so.1", "libnvidia-allocator.so.550.163.01");
  install();
  load_module(kVersion);
  const HostAdditions found = additions();
  const auto bind =
      std::ranges::find(found.binds, "/usr/lib64/gbm/nvidia-drm_gbm.so", &HostBind::destination);
  ASSERT_NE(bind, found.binds.end());
  EXPECT_EQ(bind->source, top_.top() + "/usr/lib/x/libnvidia-allocator.so.550.163.01");
  EXPECT_THAT(bind->needs, ElementsAre("/usr/lib64/libgbm.so.1"));
  EXPECT_TRUE(bind->gives_way);
  environment_ = {"NVIDIA_DRIVER_CAPABILITIES=compute"};
  EXPECT_THAT(needs_of(additions()),
              Not(Contains(testing::Key("/usr/lib64/gbm/nvidia-drm_gbm.so"))));
}

TEST_F(Nvidia, SocketsOfTheDriversServices) {
  install();
  load_module(kVersion);
  for (const char* path :
       {"/run/nvidia-persistenced/socket", "/run/udev/data", "/tmp/nvidia-mps/control"})
    top_.file(path);
  EXPECT_THAT(needs_of(additions()), Contains(testing::Key("/run/nvidia-persistenced/socket")));
  EXPECT_THAT(needs_of(additions()), Contains(testing::Key("/tmp/nvidia-mps")));
  EXPECT_THAT(needs_of(additions()), Not(Contains(testing::Key("/run/udev"))));
  top_.file("/dev/nvidia-fs0");
  EXPECT_THAT(needs_of(additions()), Contains(testing::Key("/run/udev")));
  environment_ = {"NVIDIA_DRIVER_CAPABILITIES=compute"};
  EXPECT_THAT(needs_of(additions()),
              Not(Contains(testing::Key("/run/nvidia-persistenced/socket"))));
}

TEST_F(Nvidia, FirmwareIsForOldKernelsAndForImagesThatHaveAPlaceForIt) {
  install();
  load_module(kVersion);
  const std::string place = "/lib/firmware/nvidia/550.163.01";
  EXPECT_THAT(needs_of(additions()), Not(Contains(testing::Key(place))));
  top_.file("/lib/firmware/6.1.0-37-amd64/nvidia/550.163.01/gsp_ga10x.bin");
  EXPECT_THAT(needs_of(additions()).at(place), ElementsAre("/lib/firmware/nvidia"));
  top_.file(place + "/gsp_ga10x.bin");
  for (const char* older : {"4.18.0-553.el8_10.x86_64", "5.6.19", "3.10"}) {
    kernel_ = older;
    EXPECT_THAT(needs_of(additions()).at(place), IsEmpty()) << older;
  }
  kernel_ = "5.7.0";
  EXPECT_THAT(needs_of(additions()).at(place), ElementsAre("/lib/firmware/nvidia"));
}

TEST_F(Nvidia, ADriverContainerBelowRunIsFound) {
  ElfPlan plan;
  plan.soname = "libcuda.so.1";
  top_.file("/run/nvidia/driver/usr/lib64/libcuda.so.580.65.06", ElfBuilder::build(plan));
  top_.link("/run/nvidia/driver/usr/lib64/libcuda.so.1", "libcuda.so.580.65.06");
  load_module("580.65.06");
  EXPECT_THAT(names(additions()), Contains("libcuda.so.1"));
}

TEST_F(Nvidia, StubsOfTheToolkitAreNoDriver) {
  top_.file("/usr/local/cuda/lib64/stubs/libcuda.so.1");
  entries_.push_back({"libcuda.so.1", "/usr/local/cuda/lib64/stubs/libcuda.so.1"});
  write_cache();
  load_module(kVersion);
  EXPECT_THAT(names(additions()), IsEmpty());
}

TEST_F(Nvidia, TheChoiceOfGpusPassesEvenWithCleanEnvironments) {
  install();
  load_module(kVersion);
  environment_ = {"CUDA_VISIBLE_DEVICES=GPU-1", "OTHER=1"};
  EXPECT_THAT(additions().variables,
              ElementsAre(EnvironmentVariable{"CUDA_VISIBLE_DEVICES", "GPU-1"}));
}

TEST(LoadedNvidiaVersion, IsReadFromEitherForm) {
  const TreeFixture top;
  EXPECT_FALSE(loaded_nvidia_version(top.tree()).has_value());
  top.file("/sys/module/nvidia/version", "550.163.01\n");
  EXPECT_EQ(loaded_nvidia_version(top.tree()), "550.163.01");
  top.file("/proc/driver/nvidia/version",
           "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.54.03  Tue Jun  6\n");
  EXPECT_EQ(loaded_nvidia_version(top.tree()), "535.54.03");
}

TEST(ForwardCompatibility, IsForNewerMajorsOnly) {
  const TreeFixture image;
  image.file("/usr/local/cuda-12/compat/libcuda.so.560.35.05");
  image.link("/usr/local/cuda", "cuda-12");
  EXPECT_EQ(find_forward_compatibility(image.tree(), "550.163.01"), "/usr/local/cuda/compat");
  EXPECT_FALSE(find_forward_compatibility(image.tree(), "560.28.03").has_value());
  EXPECT_FALSE(find_forward_compatibility(image.tree(), "").has_value());
}

TEST(MatchesStar, KnowsOneAndTwo) {
  EXPECT_TRUE(matches_star("nvidia*.json", "nvidia_icd.json"));
  EXPECT_TRUE(matches_star("*nvidia*.json", "15_nvidia_gbm.json"));
  EXPECT_FALSE(matches_star("nvidia*.json", "intel.json"));
  EXPECT_FALSE(matches_star("a*a", "a"));
}

}  // namespace
}  // namespace runtime
