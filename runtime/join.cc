// SPDX-License-Identifier: Apache-2.0
#include "runtime/join.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <functional>
#include <optional>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"

namespace runtime {
namespace {

// Whatever happens in `visit`, the process is back in its own mount namespace afterwards, or this
// throws.
void leave_for(const std::function<void()>& visit) {
  const base::UniqueFd own = open_own_namespace("mnt");
  std::exception_ptr problem;
  try {
    visit();
  } catch (...) {
    problem = std::current_exception();
  }
  if (::setns(own.get(), CLONE_NEWNS) != 0)
    throw base::errno_error(errno, "cannot return to the mount namespace");
  if (problem) std::rethrow_exception(problem);
}

}  // namespace

base::UniqueFd open_own_namespace(const char* name) {
  return base::open_file(base::cat("/proc/self/ns/", name), O_RDONLY);
}

void join_user_namespace(int user_namespace) {
  if (::setns(user_namespace, CLONE_NEWUSER) != 0)
    throw base::errno_error(errno, "cannot enter the shared user namespace");
}

base::UniqueFd make_mount_namespace_of(const std::string& mount_point) {
  base::UniqueFd made;
  leave_for([&] {
    if (::unshare(CLONE_NEWNS) != 0)
      throw base::errno_error(errno, "cannot make a mount namespace");
    made = open_own_namespace("mnt");  // before /proc is gone
    if (::chdir(mount_point.c_str()) != 0 || ::syscall(SYS_pivot_root, ".", ".") != 0 ||
        ::umount2(".", MNT_DETACH) != 0)
      throw base::errno_error(errno, "cannot make ", base::printable(mount_point), " a root");
  });
  return made;
}

MountSource copy_root_of(int mount_namespace) {
  std::optional<MountSource> root;
  leave_for([&] {
    if (::setns(mount_namespace, CLONE_NEWNS) != 0)
      throw base::errno_error(errno, "cannot enter the shared mount namespace");
    root = MountSource::open("/");
  });
  return std::move(*root);
}

}  // namespace runtime
