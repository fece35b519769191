// SPDX-License-Identifier: Apache-2.0
#include "runtime/cdi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "runtime/cdi_spec.h"
#include "tests/unit/runtime/elf_builder.h"
#include "tests/unit/runtime/tree_fixture.h"

namespace runtime {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

std::string failure(const auto& call) {
  try {
    call();
  } catch (const base::Error& error) {
    return error.what();
  }
  return "";
}

std::string parse_failure(const std::string& text) {
  return failure([&] { parse_cdi_spec(text, "x.json"); });
}

constexpr const char* kDevice = R"("devices": [{"name": "gpu0", "containerEdits":
    {"deviceNodes": [{"path": "/dev/x"}]}}])";

std::string spec(const std::string& rest, const std::string& version = "0.5.0") {
  return R"({"cdiVersion": ")" + version + R"(", "kind": "vendor.com/gpu", )" + rest + "}";
}

TEST(CdiSpec, ReadsJsonAndYamlAlike) {
  const CdiSpec json = parse_cdi_spec(spec(kDevice), "x.json");
  const CdiSpec yaml = parse_cdi_spec(
      "---\ncdiVersion: 0.5.0\nkind: vendor.com/gpu\ndevices:\n- name: 0\n  containerEdits:\n"
      "    deviceNodes:\n    - path: /dev/x\n      major: 195\n      fileMode: 438\n"
      "    env:\n    - A=b\ncontainerEdits:\n  mounts:\n  - hostPath: /a\n"
      "    containerPath: /b\n    options: [ro, nosuid]\n",
      "x.yaml");
  EXPECT_EQ(json.kind, yaml.kind);
  EXPECT_EQ(json.devices.at(0).name, "gpu0");
  EXPECT_EQ(yaml.devices.at(0).name, "0");
  EXPECT_EQ(yaml.devices.at(0).edits.nodes.at(0).host_path, "/dev/x");
  EXPECT_TRUE(yaml.edits.mounts.at(0).read_only);
}

TEST(CdiSpec, SaysWhatIsWrong) {
  EXPECT_THAT(parse_failure("{"), HasSubstr("no valid JSON"));
  EXPECT_THAT(parse_failure("[]"), HasSubstr("expected an object"));
  EXPECT_THAT(parse_failure(spec(kDevice, "9.9.9")), HasSubstr("cdiVersion 9.9.9 is unknown"));
  EXPECT_THAT(parse_failure(spec(std::string(kDevice) + R"(, "more": 1)")),
              HasSubstr("unknown field \"more\""));
  EXPECT_THAT(parse_failure(spec(R"("devices": [])")), HasSubstr("no devices"));
  EXPECT_THAT(
      parse_failure(spec(R"("devices": [{"name": "-a", "containerEdits": {"env": ["A=b"]}}])")),
      HasSubstr("no device name"));
  EXPECT_THAT(
      parse_failure(spec(R"("devices": [{"name": "a", "containerEdits": {"env": ["=b"]}}])")),
      HasSubstr("is not NAME=value"));
  EXPECT_THAT(parse_failure(spec(R"("devices": [{"name": "a"}])")),
              HasSubstr("containerEdits are missing"));
  EXPECT_THAT(
      parse_failure(R"({"cdiVersion": "0.5.0", "kind": "gpu", )" + std::string(kDevice) + "}"),
      HasSubstr("is not VENDOR/CLASS"));
}

TEST(CdiSpec, FeaturesDemandTheirVersion) {
  const std::string digit = R"("devices": [{"name": "0", "containerEdits": {"env": ["A=b"]}}])";
  EXPECT_THAT(parse_failure(spec(digit, "0.4.0")), HasSubstr("needs cdiVersion 0.5.0"));
  EXPECT_EQ(parse_failure(spec(digit, "0.5.0")), "");
  const std::string gids =
      R"("devices": [{"name": "a", "containerEdits": {"additionalGids": [5]}}])";
  EXPECT_THAT(parse_failure(spec(gids, "0.6.0")), HasSubstr("needs cdiVersion 0.7.0"));
  EXPECT_EQ(parse_failure(spec(gids, "0.7.0")), "");
}

TEST(CdiSpec, EveryFeatureHasItsVersion) {
  struct Row {
    const char *edits, *before, *from;
  };
  for (const auto& [edits, before, from] :
       {Row{R"("mounts": [{"hostPath": "/a", "containerPath": "/b", "type": "bind"}])", "0.3.0",
            "0.4.0"},
        Row{R"("deviceNodes": [{"path": "/dev/a", "hostPath": "/dev/b"}])", "0.4.0", "0.5.0"},
        Row{R"("intelRdt": {"closID": "a"})", "0.6.0", "0.7.0"},
        Row{R"("netDevices": [{"hostInterfaceName": "a", "name": "b"}])", "1.0.0", "1.1.0"}}) {
    const std::string device =
        base::cat(R"("devices": [{"name": "a", "containerEdits": {)", edits, "}}]");
    EXPECT_THAT(parse_failure(spec(device, before)),
                HasSubstr(base::cat("needs cdiVersion ", from)));
    EXPECT_EQ(parse_failure(spec(device, from)), "");
  }
  const std::string annotated = base::cat(R"("annotations": {"a": "b"}, )", kDevice);
  EXPECT_THAT(parse_failure(spec(annotated, "0.5.0")), HasSubstr("annotations needs cdiVersion"));
  EXPECT_EQ(parse_failure(spec(annotated, "0.6.0")), "");
  const auto dotted = [](const char* version) {
    return base::cat(R"({"cdiVersion": ")", version, R"(", "kind": "a.b/c.d", )", kDevice, "}");
  };
  EXPECT_THAT(parse_failure(dotted("0.5.0")), HasSubstr("a dot in the class needs cdiVersion"));
  EXPECT_EQ(parse_failure(dotted("0.6.0")), "");
}

TEST(CdiSpec, KeepsWhatNeedsPrivilegesByName) {
  const CdiSpec parsed = parse_cdi_spec(spec(R"("devices": [{"name": "a", "containerEdits": {
          "deviceNodes": [{"path": "/dev/x", "fileMode": 438, "uid": null, "permissions": "r"},
                          {"path": "/dev/y", "permissions": "rwm", "major": 1, "type": "c"}],
          "mounts": [{"hostPath": "/a", "containerPath": "/b", "options": ["ro", "nosuid", "noexec"]},
                     {"containerPath": "/c", "type": "tmpfs"},
                     {"hostPath": "x", "containerPath": "/d", "type": "overlay"}],
          "additionalGids": [4], "netDevices": []}}])",
                                             "1.1.0"),
                                        "x.json");
  const CdiEdits& edits = parsed.devices.at(0).edits;
  EXPECT_THAT(edits.nodes.at(0).beyond_us, ElementsAre("fileMode 438", "permissions r"));
  EXPECT_THAT(edits.nodes.at(1).beyond_us, ElementsAre());
  EXPECT_THAT(edits.mounts.at(0).beyond_us, ElementsAre("option noexec"));
  EXPECT_TRUE(edits.mounts.at(1).temporary);
  EXPECT_THAT(edits.mounts.at(2).beyond_us, ElementsAre("type overlay"));
  EXPECT_TRUE(edits.mounts.at(2).impossible);
  EXPECT_THAT(edits.beyond_us, ElementsAre("additionalGids"));
}

TEST(CdiSpec, NestingIsLimitedBeforeAnythingIsBuilt) {
  EXPECT_THAT(parse_failure(std::string(1 << 20, '[')), HasSubstr("nesting deeper than 32"));
  // Brackets within texts are none.
  EXPECT_EQ(parse_failure(spec(R"("devices": [{"name": "a", "containerEdits": {"env":
      ["A=[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"[[[[[[[[[[\\"]}}])")),
            "");
}

TEST(CdiSpec, YamlHasLimits) {
  static const std::string kDeep = [] {
    std::string text;
    for (int i = 0; i < 2000; ++i) text += "- ";
    return text + "x";
  }();
  EXPECT_THAT(failure([] { parse_cdi_spec("a: &x [1]\nb: *x\n", "x.yaml"); }),
              HasSubstr("an alias is not supported"));
  EXPECT_THAT(failure([] { parse_cdi_spec(kDeep, "x.yaml"); }), HasSubstr("nesting this deep"));
  EXPECT_THAT(failure([] { parse_cdi_spec("a: [1", "x.yaml"); }), HasSubstr("x.yaml, line"));
}

TEST(CdiNames, AreChecked) {
  EXPECT_TRUE(is_cdi_device("nvidia.com/gpu=0"));
  EXPECT_TRUE(is_cdi_device("nvidia.com/gpu=0:1"));
  EXPECT_TRUE(is_cdi_device("nvidia.com/gpu=GPU-11aa"));
  EXPECT_FALSE(is_cdi_device("nvidia.com/gpu"));
  EXPECT_FALSE(is_cdi_device("gpu=0"));
  EXPECT_FALSE(is_cdi_device("1vendor/gpu=0"));
  EXPECT_FALSE(is_cdi_device("nvidia.com/gpu="));
  EXPECT_FALSE(is_cdi_device("nvidia.com/gpu=a-"));
}

// The shape that nvidia-ctk writes.
constexpr const char* kNvidia = R"({"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu",
 "devices": [
  {"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0"}]}},
  {"name": "1", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia1", "hostPath": "/dev/nvidia9"}]}}],
 "containerEdits": {
  "env": ["NVIDIA_VISIBLE_DEVICES=void"],
  "deviceNodes": [{"path": "/dev/nvidiactl"}],
  "mounts": [{"hostPath": "/usr/lib/libcuda.so.550.1", "containerPath": "/usr/lib/libcuda.so.550.1",
              "options": ["ro", "nosuid", "nodev", "rbind", "rprivate"]}],
  "hooks": [
   {"hookName": "createContainer", "path": "/usr/bin/nvidia-cdi-hook",
    "args": ["nvidia-cdi-hook", "create-symlinks", "--link", "libcuda.so.1::/usr/lib/libcuda.so"]},
   {"hookName": "createContainer", "path": "/usr/bin/nvidia-cdi-hook",
    "args": ["nvidia-cdi-hook", "enable-cuda-compat", "--host-driver-version=550.1"]},
   {"hookName": "createContainer", "path": "/usr/bin/nvidia-cdi-hook",
    "args": ["nvidia-cdi-hook", "update-ldcache", "--folder", "/usr/lib"]},
   {"hookName": "createContainer", "path": "/usr/bin/nvidia-cdi-hook", "args": ["nvidia-cdi-hook", "chmod"]}]}})";

class Cdi : public testing::Test {
 protected:
  Cdi() {
    for (const char* node : {"nvidia0", "nvidia9", "nvidiactl"})
      top_.file(base::cat("/dev/", node));
    ElfPlan library;
    library.soname = "libcuda.so.1";
    top_.file("/usr/lib/libcuda.so.550.1", ElfBuilder::build(library));
    top_.file("/etc/cdi/nvidia.json", kNvidia);
  }
  HostAdditions additions(const std::vector<std::string>& devices) {
    return cdi_additions(top_.tree(), devices, default_cdi_directories());
  }
  std::string failure_of(const std::string& device) {
    return failure([&] { additions({device}); });
  }
  TreeFixture top_;
};

TEST_F(Cdi, GivesTheDeviceAndWhatAllDevicesShare) {
  const HostAdditions out = additions({"nvidia.com/gpu=0", "nvidia.com/gpu=1"});
  const std::string dev = top_.top() + "/dev/";
  EXPECT_THAT(out.devices, ElementsAre(HostDevice{dev + "nvidiactl", "/dev/nvidiactl"},
                                       HostDevice{dev + "nvidia0", "/dev/nvidia0"},
                                       HostDevice{dev + "nvidia9", "/dev/nvidia1"}));
  EXPECT_THAT(out.binds, ElementsAre(HostBind{top_.top() + "/usr/lib/libcuda.so.550.1",
                                              "/usr/lib/libcuda.so.550.1"}));
  EXPECT_THAT(out.overrides, ElementsAre(EnvironmentVariable{"NVIDIA_VISIBLE_DEVICES", "void"}));
}

TEST_F(Cdi, ImitatesNvidiasHooksAndNamesTheOthers) {
  const HostAdditions out = additions({"nvidia.com/gpu=0"});
  const std::string file = top_.top() + "/usr/lib/libcuda.so.550.1";
  EXPECT_THAT(out.libraries,
              ElementsAre(HostLibrary{"libcuda.so.1", file}, HostLibrary{"libcuda.so", file}));
  EXPECT_THAT(out.library_back, ElementsAre("/usr/lib"));
  EXPECT_EQ(out.nvidia_version, "550.1");
  EXPECT_THAT(out.notes, Contains(HasSubstr("nvidia-cdi-hook chmod is skipped")));
}

TEST_F(Cdi, LinksOutsideTheSearchedFoldersAreBoundAtTheirPlace) {
  top_.file("/dev/dri/card1");
  top_.file("/etc/cdi/links.json", R"({"cdiVersion": "0.5.0", "kind": "x.com/links",
 "devices": [{"name": "a", "containerEdits": {
  "deviceNodes": [{"path": "/dev/dri/card1"}],
  "mounts": [{"hostPath": "/usr/lib/libcuda.so.550.1", "containerPath": "/usr/lib/libx.so.550.1"}],
  "hooks": [{"hookName": "createContainer", "path": "/h", "args": ["h", "create-symlinks",
    "--link=../libx.so.550.1::/usr/lib/gbm/x_gbm.so", "--link", "../card1::/dev/dri/by-path/pci-1",
    "--link", "gone::/usr/lib/gone.so"]}]}}]})");
  const HostAdditions out = additions({"x.com/links=a"});
  EXPECT_THAT(out.binds, Contains(HostBind{top_.top() + "/usr/lib/libcuda.so.550.1",
                                           "/usr/lib/gbm/x_gbm.so"}));
  EXPECT_THAT(out.devices,
              ElementsAre(HostDevice{top_.top() + "/dev/dri/card1", "/dev/dri/card1"},
                          HostDevice{top_.top() + "/dev/dri/card1", "/dev/dri/by-path/pci-1"}));
  EXPECT_THAT(out.libraries, ElementsAre());
  EXPECT_THAT(out.notes, Contains(HasSubstr("/usr/lib/gone.so is not made")));
}

TEST_F(Cdi, LaterDirectoriesWin) {
  top_.file("/var/run/cdi/own.yaml",
            "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: \"0\"\n"
            "  containerEdits:\n    env: [OWN=1]\n");
  EXPECT_THAT(additions({"nvidia.com/gpu=0"}).overrides,
              ElementsAre(EnvironmentVariable{"OWN", "1"}));
}

TEST_F(Cdi, TwoFilesOfEqualRankConflict) {
  top_.file("/etc/cdi/other.json", kNvidia);
  EXPECT_THAT(failure_of("nvidia.com/gpu=0"), HasSubstr("both /etc/cdi/nvidia.json and"));
}

TEST_F(Cdi, FailsForWhatIsNotThere) {
  EXPECT_THAT(failure_of("nvidia.com/gpu=7"), HasSubstr("is in no file of /etc/cdi, /var/run/cdi"));
  EXPECT_THAT(failure_of("gpu0"), HasSubstr("expected VENDOR/CLASS=NAME"));
  top_.file("/etc/cdi/broken.json", "{");
  EXPECT_THAT(failure_of("other.com/x=y"), HasSubstr("invalid: CDI file /etc/cdi/broken.json"));
  EXPECT_THAT(additions({"nvidia.com/gpu=0"}).devices, testing::SizeIs(2));
}

TEST_F(Cdi, AMissingNodeIsAnError) {
  top_.file("/etc/cdi/a.json", spec(R"("devices": [{"name": "a", "containerEdits":
      {"deviceNodes": [{"path": "/dev/gone"}]}}])"));
  EXPECT_THAT(failure_of("vendor.com/gpu=a"), HasSubstr("needs the device node /dev/gone"));
}

}  // namespace
}  // namespace runtime
