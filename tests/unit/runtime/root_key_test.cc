// SPDX-License-Identifier: Apache-2.0
#include "runtime/root_key.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "tests/unit/runtime/tree_fixture.h"

namespace runtime {
namespace {

class RootKey : public testing::Test {
 protected:
  RootKey() {
    top_.directory("/data");
    plan_.caller = {"ada", 1000, 1000, "Ada", "/home/ada", "/bin/sh"};
    plan_.groups = {{"staff", 1000}};
    MountEntry bind;
    bind.source = source();
    bind.target = "/data";
    MountEntry passwd;
    passwd.kind = MountKind::passwd_file;
    passwd.target = "/etc/passwd";
    plan_.mounts = {bind, passwd};
  }
  std::string source() const { return top_.top() + "/data"; }
  std::string key() const { return find_root_key(plan_).value(); }
  std::string key_with(const std::function<void(RunPlan&)>& change) const {
    RunPlan changed = plan_;
    change(changed);
    return find_root_key(changed).value_or("none");
  }

  TreeFixture top_;
  RunPlan plan_;
};

TEST_F(RootKey, SamePlanSameKey) {
  EXPECT_EQ(key(), key_with([](RunPlan&) {}));
  EXPECT_EQ(key(), key_with([](RunPlan& plan) { plan.reset_umask = true; }));
}

TEST_F(RootKey, SaysWhatIsMountedWhereAndForWhom) {
  for (const auto& change : std::initializer_list<std::function<void(RunPlan&)>>{
           [](RunPlan& plan) { plan.mounts[0].target = "/other"; },
           [](RunPlan& plan) { plan.mounts[0].flags = MountFlags::read_only; },
           [](RunPlan& plan) { plan.mounts[0].unless_visible = true; },
           [this](RunPlan& plan) { plan.mounts[0].source = top_.top(); },
           [](RunPlan& plan) { plan.mounts.pop_back(); },
           [](RunPlan& plan) { plan.mounts[1].kind = MountKind::group_file; },
           [](RunPlan& plan) { plan.caller.shell = "/bin/bash"; },
           [](RunPlan& plan) { plan.groups[0].name = "students"; }}) {
    EXPECT_NE(key(), key_with(change));
  }
}

TEST_F(RootKey, TextsDoNotRunIntoEachOther) {
  const auto named = [&](const char* name, const char* gecos) {
    return key_with([=](RunPlan& plan) {
      plan.caller.name = name;
      plan.caller.gecos = gecos;
    });
  };
  EXPECT_NE(named("ab", "c"), named("a", "bc"));
}

TEST_F(RootKey, AnotherDirectoryOfThatNameIsAnotherRoot) {
  const std::string before = key();
  std::filesystem::rename(source(), top_.top() + "/kept");
  std::filesystem::create_directory(source());
  EXPECT_NE(key(), before);
}

TEST_F(RootKey, WhatIsMissingIsToldByEachRun) {
  plan_.mounts[0].source = top_.top() + "/missing";
  for (const Importance importance : {Importance::required, Importance::expected}) {
    plan_.mounts[0].importance = importance;
    EXPECT_EQ(find_root_key(plan_), std::nullopt);
  }
  plan_.mounts[0].importance = Importance::optional;
  const std::string without = key();
  top_.directory("/missing");
  EXPECT_NE(key(), without);
}

TEST_F(RootKey, NoneForARootOfOnesOwn) {
  for (const auto& change : std::initializer_list<std::function<void(RunPlan&)>>{
           [](RunPlan& plan) { plan.pid_namespace = true; },
           [](RunPlan& plan) { plan.ipc_namespace = true; },
           [](RunPlan& plan) { plan.uts_namespace = true; },
           [](RunPlan& plan) { plan.empty_network = true; },
           [](RunPlan& plan) { plan.writable = true; },
           [](RunPlan& plan) { plan.writable_tmpfs = true; },
           [](RunPlan& plan) { plan.overlays = {{"/overlay"}}; },
           [](RunPlan& plan) { plan.host.nvidia_version = "550"; },
           [](RunPlan& plan) { plan.mounts[0].kind = MountKind::directory; },
           [](RunPlan& plan) { plan.mounts[0].make_source = true; },
           [](RunPlan& plan) { plan.mounts[0].gives_way = true; },
           [](RunPlan& plan) { plan.mounts[0].needs = {"/usr/share"}; }}) {
    EXPECT_EQ(key_with(change), "none");
  }
}

}  // namespace
}  // namespace runtime
