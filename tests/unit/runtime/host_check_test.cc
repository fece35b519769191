// SPDX-License-Identifier: Apache-2.0
#include "runtime/host_check.h"

#include <gmock/gmock.h>

#include <cerrno>

namespace runtime {
namespace {

using enum HostOperation;

constexpr HostState kPlain{};

TEST(HostHint, NamesTheSysctlThatSwitchesUserNamespacesOff) {
  EXPECT_EQ(host_hint(make_user_namespace, ENOSPC, {.max_user_namespaces = 0}),
            "user namespaces are switched off here; as root: sysctl -w "
            "user.max_user_namespaces=15000");
  EXPECT_EQ(host_hint(make_user_namespace, ENOSPC, {.max_user_namespaces = 10}),
            "too many user namespaces exist; as root, raise the limit: sysctl -w "
            "user.max_user_namespaces=15000");
  EXPECT_EQ(host_hint(make_user_namespace, EPERM, {.unprivileged_clone = 0}),
            "user namespaces are reserved to root here; as root: sysctl -w "
            "kernel.unprivileged_userns_clone=1");
}

TEST(HostHint, NamesAppArmorWhereverItStrikes) {
  const HostState state{.unprivileged_clone = 1, .apparmor_restriction = 1};
  for (const HostOperation operation : {make_user_namespace, map_user, mount}) {
    EXPECT_EQ(host_hint(operation, EPERM, state),
              "AppArmor restricts user namespaces here; as root: sysctl -w "
              "kernel.apparmor_restrict_unprivileged_userns=0, or install an AppArmor profile with "
              "`userns,` for this program's path");
    EXPECT_EQ(host_hint(operation, EACCES, state), host_hint(operation, EPERM, state));
  }
}

TEST(HostHint, TellsContainersSeccompAndChrootApart) {
  EXPECT_EQ(host_hint(make_user_namespace, EPERM, {.seccomp_filter = true}),
            "a seccomp filter forbids it; start the outer container with --security-opt "
            "seccomp=unconfined (docker, podman)");
  EXPECT_EQ(host_hint(mount, EPERM, {.seccomp_filter = true, .inside_container = true}),
            "the outer container forbids it; start it with --privileged, or with --security-opt "
            "seccomp=unconfined --security-opt systempaths=unconfined (docker, podman)");
  EXPECT_EQ(host_hint(make_user_namespace, EPERM, kPlain),
            "user namespaces cannot be made in a chroot; enter the tree by pivot_root, or start a "
            "container on it");
  EXPECT_EQ(host_hint(make_user_namespace, ENOSYS, kPlain),
            "the kernel was built without user namespaces (CONFIG_USER_NS)");
}

TEST(HostHint, RootInsideAnotherContainerIsTold) {
  EXPECT_EQ(host_hint(map_user, EPERM, {.inside_container = true, .root = true}),
            "root without capabilities (inside another container) may not map itself; run as an "
            "ordinary user there, or give the outer one CAP_SETFCAP (sifrun exec --add-caps "
            "CAP_SETFCAP)");
}

TEST(HostHint, SaysNothingWhereItKnowsNothing) {
  EXPECT_EQ(host_hint(mount, EIO, kPlain), "");
  EXPECT_EQ(host_hint(map_user, EPERM, kPlain), "");
}

TEST(FuseCure, DependsOnTheErrorAndThePlace) {
  EXPECT_EQ(fuse_cure(EACCES, false),
            "as root: chmod 666 /dev/fuse (and make it permanent by the fuse3 package)");
  EXPECT_EQ(fuse_cure(ENOENT, true), "start the outer container with --device /dev/fuse");
  EXPECT_EQ(fuse_cure(ENOENT, false), "as root: modprobe fuse");
  EXPECT_EQ(find_fuse_problem("/nonexistent/fuse")->cause,
            "cannot open /nonexistent/fuse: No such file or directory");
  EXPECT_EQ(find_fuse_problem("/dev/null")->cause, "/dev/null is another device");
}

}  // namespace
}  // namespace runtime
