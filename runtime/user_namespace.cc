// SPDX-License-Identifier: Apache-2.0
#include "runtime/user_namespace.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <string>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/host_check.h"

namespace runtime {
namespace {

// The outer namespace's map turned into one of the same ids: "0 100000 65536" -> "0 0 65536".
std::string identity_map(const char* outer_map) {
  std::istringstream lines(base::read_small_file(outer_map));
  std::string map;
  unsigned long inside = 0, outside = 0, count = 0;
  while (lines >> inside >> outside >> count)
    map += base::cat(inside, " ", inside, " ", count, "\n");
  return map;
}

// One write(2): the kernel takes a map in a single piece.
void write_once(const std::string& path, const std::string& text) {
  const base::UniqueFd file = base::open_file(path, O_WRONLY);
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw base::errno_error(errno, "cannot write ", path);
}

void make_user_namespace() {
  if (::unshare(CLONE_NEWUSER) == 0) return;
  const int problem = errno;
  throw base::errno_error(problem, "cannot make a user namespace")
      .with_hint(
          std::string(host_hint(HostOperation::make_user_namespace, problem, read_host_state())));
}

// Maps of more than the own id are written from outside, with root's capabilities there: by a child
// that waits until the namespace is made. False if it could not, as in many a container.
bool make_namespace_of_all_ids() {
  base::Pipe go = base::make_pipe(), done = base::make_pipe();
  const std::string process = "/proc/" + std::to_string(::getpid());
  const pid_t writer = ::fork();
  if (writer < 0) throw base::errno_error(errno, "cannot start a process");
  char byte = 0;
  if (writer == 0) {
    go.write_end.reset();
    try {
      if (::read(go.read_end.get(), &byte, 1) == 1) {
        write_once(process + "/gid_map", identity_map("/proc/self/gid_map"));
        write_once(process + "/uid_map", identity_map("/proc/self/uid_map"));
        base::write_all(done.write_end.get(), "y", "pipe");
      }
    } catch (const base::Error&) {
      ::_exit(1);  // the parent goes on with its own id
    }
    ::_exit(0);
  }
  done.write_end.reset();
  make_user_namespace();
  base::write_all(go.write_end.get(), "y", "pipe");
  const bool mapped = ::read(done.read_end.get(), &byte, 1) == 1;
  while (::waitpid(writer, nullptr, 0) < 0 && errno == EINTR) {
  }
  return mapped;
}

}  // namespace

IdMap enter_user_namespace() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (uid != 0) {
    make_user_namespace();
  } else if (make_namespace_of_all_ids()) {
    return IdMap::all_ids;
  }
  try {
    write_once("/proc/self/setgroups", "deny");
    write_once("/proc/self/gid_map", base::cat(gid, " ", gid, " 1\n"));
    write_once("/proc/self/uid_map", base::cat(uid, " ", uid, " 1\n"));
  } catch (base::Error& error) {
    const std::string hint(
        host_hint(HostOperation::map_user, error.errno_value(), read_host_state()));
    throw std::move(error).with_hint(hint);
  }
  return IdMap::own_id;
}

void enter_mount_namespace(int more_flags) {
  if (::unshare(CLONE_NEWNS | more_flags) != 0) {
    const int problem = errno;
    throw base::errno_error(problem, "cannot make a mount namespace")
        .with_hint(std::string(host_hint(HostOperation::mount, problem, read_host_state())));
  }
}

void raise_loopback() {
  const base::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (!socket || ::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0)
    throw base::errno_error(errno, "cannot bring up the loopback interface");
}

void drop_privileges() {
  for (int capability = 0; ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; ++capability) {
  }
  if (errno != EINVAL) throw base::errno_error(errno, "cannot empty the capability bounding set");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  if (::syscall(SYS_capset, &header, none.data()) != 0)
    throw base::errno_error(errno, "cannot give up capabilities");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    throw base::errno_error(errno, "cannot set no_new_privs");
}

}  // namespace runtime
