// SPDX-License-Identifier: Apache-2.0
#include "runtime/nvidia_devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "tests/unit/runtime/tree_fixture.h"

namespace runtime {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// Two GPUs whose minor numbers are not in the order of the bus, as happens on real machines.
class NvidiaDevices : public testing::Test {
 protected:
  NvidiaDevices() {
    gpu("0000:17:00.0", 1, "GPU-aaaa1111-2222");
    gpu("0000:65:00.0", 0, "GPU-aabb3333-4444");
    for (const char* node :
         {"nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "null"})
      top_.file(base::cat("/dev/", node));
    top_.directory("/sys/bus/pci/devices/0000:65:00.0/drm/card1");
    top_.file("/dev/dri/card1");
    top_.file("/dev/dri/card0");
    top_.link("/dev/dri/by-path/pci-0000:65:00.0-card", "../card1");
    top_.link("/dev/dri/by-path/pci-0000:00:02.0-card", "../card0");
  }
  void gpu(const std::string& bus, unsigned minor, const std::string& uuid) {
    top_.file("/proc/driver/nvidia/gpus/" + bus + "/information",
              base::cat("Model: \t\t NVIDIA H100\nIRQ:   \t\t 60\nGPU UUID: \t ", uuid,
                        "\nDevice Minor: \t ", minor, "\n"));
    top_.file(base::cat("/dev/nvidia", minor));
  }
  void mig() {
    top_.file("/proc/driver/nvidia-caps/mig-minors",
              "config 1\nmonitor 2\ngpu0/gi1/access 12\ngpu0/gi1/ci0/access 13\n"
              "gpu0/gi2/access 21\ngpu0/gi2/ci0/access 22\ngpu0/gi3/access 30\n");
    for (const int cap : {12, 13, 21, 22}) top_.file(base::cat("/dev/nvidia-caps/nvidia-cap", cap));
  }
  std::vector<std::string> nodes(std::optional<std::string_view> visible,
                                 DriverCapability capabilities = DriverCapability::compute) {
    const RootTree tree = top_.tree();
    const std::vector<NvidiaGpu> gpus = list_nvidia_gpus(tree);
    selection_ = select_nvidia_devices(tree, gpus, visible);
    return nvidia_device_nodes(tree, gpus, selection_, capabilities);
  }
  TreeFixture top_;
  VisibleDevices selection_;
};

TEST_F(NvidiaDevices, AreListedByBus) {
  EXPECT_THAT(list_nvidia_gpus(top_.tree()),
              ElementsAre(NvidiaGpu{1, "0000:17:00.0", "GPU-aaaa1111-2222"},
                          NvidiaGpu{0, "0000:65:00.0", "GPU-aabb3333-4444"}));
}

TEST_F(NvidiaDevices, AllWithoutAWord) {
  EXPECT_THAT(nodes(std::nullopt),
              UnorderedElementsAre("/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl",
                                   "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"));
}

TEST_F(NvidiaDevices, AnIndexIsAPlaceOnTheBus) {
  EXPECT_THAT(nodes("0"), ElementsAre("/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm",
                                      "/dev/nvidia-uvm-tools"));
}

TEST_F(NvidiaDevices, UuidsMayBeShortened) {
  EXPECT_THAT(nodes("GPU-aabb")[0], "/dev/nvidia0");
  nodes("GPU-aa");  // of both
  EXPECT_THAT(selection_.gpus, IsEmpty());
  EXPECT_THAT(selection_.unknown, ElementsAre("GPU-aa"));
  nodes("7,GPU-cc,1");
  EXPECT_THAT(selection_.gpus, ElementsAre(1U));
  EXPECT_THAT(selection_.unknown, ElementsAre("7", "GPU-cc"));
}

TEST_F(NvidiaDevices, NoneLeavesTheControlNodes) {
  EXPECT_THAT(nodes("none"),
              ElementsAre("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"));
  nodes("void");
  EXPECT_FALSE(selection_.inject);
}

TEST_F(NvidiaDevices, GraphicsAddsItsNodesOfTheChosenGpus) {
  EXPECT_THAT(
      nodes("1", DriverCapability::graphics),
      ElementsAre("/dev/nvidia0", "/dev/dri/card1", "/dev/dri/by-path/pci-0000:65:00.0-card",
                  "/dev/nvidiactl", "/dev/nvidia-modeset"));
}

TEST_F(NvidiaDevices, PartsOfAGpuGetTheirCapabilities) {
  mig();
  EXPECT_THAT(nodes("1:1"), testing::IsSupersetOf({"/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap21",
                                                   "/dev/nvidia-caps/nvidia-cap22"}));
  EXPECT_THAT(nodes("1:1"), testing::Not(testing::Contains("/dev/nvidia-caps/nvidia-cap12")));
  EXPECT_THAT(
      nodes("MIG-GPU-aabb3333-4444/1/0"),
      testing::IsSupersetOf({"/dev/nvidia-caps/nvidia-cap12", "/dev/nvidia-caps/nvidia-cap13"}));
  EXPECT_THAT(nodes("0"), testing::Not(testing::Contains("/dev/nvidia-caps/nvidia-cap12")));
  // Only the driver knows which part a new-style UUID names.
  EXPECT_THAT(nodes("MIG-11112222"), testing::Contains("/dev/nvidia-caps/nvidia-cap22"));
  EXPECT_TRUE(selection_.all_mig);
}

TEST_F(NvidiaDevices, ImexChannelsThatExist) {
  top_.file("/dev/nvidia-caps-imex-channels/channel0");
  EXPECT_THAT(nodes("none"), testing::Contains("/dev/nvidia-caps-imex-channels/channel0"));
}

TEST(NvidiaDevicesWithoutProc, AreKnownByTheirNodes) {
  const TreeFixture top;
  for (const char* node : {"nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm"})
    top.file(base::cat("/dev/", node));
  EXPECT_THAT(list_nvidia_gpus(top.tree()),
              ElementsAre(NvidiaGpu{2, "", ""}, NvidiaGpu{10, "", ""}));
}

}  // namespace
}  // namespace runtime
