// SPDX-License-Identifier: Apache-2.0
#include "runtime/host_check.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>

#include "base/error.h"
#include "base/syscalls.h"

namespace runtime {
namespace {

constexpr std::string_view kLimitZero =
    "user namespaces are switched off here; as root: sysctl -w user.max_user_namespaces=15000";
constexpr std::string_view kLimitReached =
    "too many user namespaces exist; as root, raise the limit: "
    "sysctl -w user.max_user_namespaces=15000";
constexpr std::string_view kOtherLimit =
    "too many namespaces of this kind exist; as root, raise the limits: sysctl -w "
    "user.max_mnt_namespaces=15000 user.max_pid_namespaces=15000";
constexpr std::string_view kCloneOff =
    "user namespaces are reserved to root here; as root: sysctl -w "
    "kernel.unprivileged_userns_clone=1";
constexpr std::string_view kAppArmor =
    "AppArmor restricts user namespaces here; as root: sysctl -w "
    "kernel.apparmor_restrict_unprivileged_userns=0, or install an AppArmor profile with `userns,` "
    "for this program's path";
constexpr std::string_view kSeccomp =
    "a seccomp filter forbids it; start the outer container with "
    "--security-opt seccomp=unconfined (docker, podman)";
constexpr std::string_view kContainer =
    "the outer container forbids it; start it with --privileged, or with --security-opt "
    "seccomp=unconfined --security-opt systempaths=unconfined (docker, podman)";
constexpr std::string_view kChroot =
    "user namespaces cannot be made in a chroot; enter the tree by pivot_root, or start a "
    "container on it";
constexpr std::string_view kRootWithout =
    "root without capabilities (inside another container) may not map itself; run as an ordinary "
    "user there, or give the outer one CAP_SETFCAP (sifrun exec --add-caps CAP_SETFCAP)";
constexpr std::string_view kKernel =
    "the kernel was built without user namespaces (CONFIG_USER_NS)";

using Condition = bool (*)(const HostState&);
struct Row {
  HostOperation operation;
  int errno_value;
  Condition condition;
  std::string_view hint;
};

bool always(const HostState&) { return true; }
bool limit_is_zero(const HostState& state) { return state.max_user_namespaces == 0; }
bool clone_is_off(const HostState& state) { return state.unprivileged_clone == 0; }
bool apparmor_restricts(const HostState& state) {
  return state.apparmor_restriction.value_or(0) > 0;
}
bool in_container(const HostState& state) { return state.inside_container; }
bool is_root(const HostState& state) { return state.root; }
bool filtered(const HostState& state) { return state.seccomp_filter; }

// The first row that fits is the answer.
using enum HostOperation;
constexpr auto kRows = std::to_array<Row>({
    {make_user_namespace, ENOSPC, limit_is_zero, kLimitZero},
    {make_user_namespace, ENOSPC, always, kLimitReached},
    {make_user_namespace, EUSERS, always, kLimitReached},
    {make_user_namespace, EINVAL, always, kKernel},
    {make_user_namespace, ENOSYS, always, kKernel},
    {make_user_namespace, EPERM, clone_is_off, kCloneOff},
    {make_user_namespace, EPERM, apparmor_restricts, kAppArmor},
    {make_user_namespace, EPERM, filtered, kSeccomp},
    {make_user_namespace, EPERM, in_container, kContainer},
    {make_user_namespace, EPERM, always, kChroot},
    {make_user_namespace, EACCES, apparmor_restricts, kAppArmor},
    {map_user, EPERM, apparmor_restricts, kAppArmor},
    {map_user, EACCES, apparmor_restricts, kAppArmor},
    {map_user, EPERM, is_root, kRootWithout},
    {map_user, EPERM, in_container, kContainer},
    {mount, EPERM, apparmor_restricts, kAppArmor},
    {mount, EACCES, apparmor_restricts, kAppArmor},
    {mount, EPERM, in_container, kContainer},
    {mount, EACCES, in_container, kContainer},
    {mount, EPERM, filtered, kSeccomp},
    {mount, ENOSPC, always, kOtherLimit},
});

std::optional<long> read_number(const char* path) {
  const base::UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  std::array<char, 32> text{};
  const ssize_t length = ::read(fd.get(), text.data(), text.size());
  long number = 0;
  if (length <= 0 || std::from_chars(text.data(), text.data() + length, number).ec != std::errc())
    return std::nullopt;
  return number;
}

bool has_seccomp_filter() {
  const std::string status = base::find_small_file("/proc/self/status").value_or("");
  return status.find("\nSeccomp:\t2") != std::string::npos;
}

bool is_inside_container() {
  return ::access("/.dockerenv", F_OK) == 0 || ::access("/run/.containerenv", F_OK) == 0 ||
         ::access("/.singularity.d", F_OK) == 0;
}

}  // namespace

HostState read_host_state() {
  return {read_number("/proc/sys/user/max_user_namespaces"),
          read_number("/proc/sys/kernel/unprivileged_userns_clone"),
          read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
          has_seccomp_filter(),
          is_inside_container(),
          ::geteuid() == 0};
}

std::string_view host_hint(HostOperation operation, int errno_value, const HostState& state) {
  for (const Row& row : kRows) {
    if (row.operation == operation && row.errno_value == errno_value && row.condition(state))
      return row.hint;
  }
  return {};
}

std::string_view fuse_cure(int errno_value, bool inside_container) {
  if (errno_value == EACCES || errno_value == EPERM)
    return "as root: chmod 666 /dev/fuse (and make it permanent by the fuse3 package)";
  if (inside_container) return "start the outer container with --device /dev/fuse";
  return "as root: modprobe fuse";
}

std::optional<FuseProblem> find_fuse_problem(const char* device) {
  constexpr unsigned kMiscMajor = 10, kFuseMinor = 229;  // include/linux/miscdevice.h
  const base::UniqueFd fd(::open(device, O_RDWR | O_CLOEXEC));
  const int problem = errno;
  if (fd) {
    // Sandboxes put /dev/null in place of what they hide.
    if (base::file_status(fd.get(), device).st_rdev == ::makedev(kMiscMajor, kFuseMinor))
      return std::nullopt;
    return FuseProblem{base::cat(device, " is another device"),
                       fuse_cure(ENOENT, is_inside_container())};
  }
  // Says nothing about FUSE.
  if (problem == EMFILE || problem == ENFILE) {
    throw base::errno_error(problem, "cannot open ", device)
        .with_hint("raise the limit of open files: ulimit -n");
  }
  return FuseProblem{base::errno_error(problem, "cannot open ", device).what(),
                     fuse_cure(problem, is_inside_container())};
}

}  // namespace runtime
