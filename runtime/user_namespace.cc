// SPDX-License-Identifier: Apache-2.0
#include "runtime/user_namespace.h"

#include <fcntl.h>
#include <grp.h>
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
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/host_check.h"
#include "runtime/passwd_file.h"

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

// As in what `unshare --map-root-user` makes: there root is as good as any user.
bool has_one_id() {
  std::istringstream lines(base::read_small_file("/proc/self/uid_map"));
  unsigned long inside = 0, outside = 0, count = 0;
  return (lines >> inside >> outside >> count) && count == 1 && !(lines >> inside);
}

// One write(2): the kernel takes a map in a single piece.
void write_once(const std::string& path, const std::string& text) {
  const base::UniqueFd file = base::open_file(path, O_WRONLY);
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw base::errno_error(errno, "cannot write ", path);
}

bool is_unmapped(const std::string& map) { return base::read_small_file(map).empty(); }

void make_user_namespace() {
  if (::unshare(CLONE_NEWUSER) == 0) return;
  const int problem = errno;
  throw base::errno_error(problem, "cannot make a user namespace")
      .with_hint(
          std::string(host_hint(HostOperation::make_user_namespace, problem, read_host_state())));
}

// Maps of more than the own id are written from outside, with the capabilities there: by a child
// that waits until the namespace is made and then runs `write_maps` on its process id. False if it
// could not.
template <typename WriteMaps>
bool make_namespace_mapped_by(WriteMaps write_maps) {
  base::Pipe go = base::make_pipe(), done = base::make_pipe();
  const std::string process = std::to_string(::getpid());
  const pid_t writer = base::fork_or_throw("cannot start a process");
  char byte = 0;
  if (writer == 0) {
    go.write_end.reset();
    try {
      if (::read(go.read_end.get(), &byte, 1) == 1 && write_maps(process))
        base::write_all(done.write_end.get(), "y", "pipe");
    } catch (const std::exception&) {
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

bool write_identity_maps(const std::string& process) {
  const std::string folder = "/proc/" + process;
  write_once(folder + "/gid_map", identity_map("/proc/self/gid_map"));
  write_once(folder + "/uid_map", identity_map("/proc/self/uid_map"));
  return true;
}

// newuidmap(1) is setuid root: it maps what the files grant. Its complaints go to standard error.
bool run_mapper(const char* program, const std::string& process, unsigned own, IdRange range) {
  const pid_t child = ::fork();
  if (child == 0) {
    base::unblock_all_signals();  // an instance's start blocks them
    const std::string first = std::to_string(own), start = std::to_string(range.start),
                      count = std::to_string(range.count);
    ::execlp(program, program, process.c_str(), "0", first.c_str(), "1", "1", start.c_str(),
             count.c_str(), nullptr);
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

struct SubordinateIds {
  IdRange users, groups;
};
std::optional<SubordinateIds> find_subordinate_ids(uid_t uid) {
  const std::optional<Account> account = find_host_account(uid);
  const std::string name = account ? account->name : "";
  const auto users = find_id_range(base::find_small_file("/etc/subuid").value_or(""), name, uid);
  const auto groups = find_id_range(base::find_small_file("/etc/subgid").value_or(""), name, uid);
  if (!users || !groups) return std::nullopt;
  return SubordinateIds{*users, *groups};
}

// False where nothing but the caller's own id can be had.
bool make_namespace_of_subordinate_ids() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  const std::optional<SubordinateIds> ids = find_subordinate_ids(uid);
  if (!ids) {
    base::log_info("/etc/subuid and /etc/subgid grant you no ids: only root's own will be there");
    make_user_namespace();
    return false;
  }
  if (make_namespace_mapped_by([&](const std::string& process) {
        return run_mapper("newuidmap", process, uid, ids->users) &&
               run_mapper("newgidmap", process, gid, ids->groups);
      }))
    return true;
  base::log_info(
      "newuidmap and newgidmap did not work (package uidmap): only root's own id will be "
      "there");
  return false;
}

}  // namespace

bool has_subordinate_ids() { return find_subordinate_ids(::geteuid()).has_value(); }

IdMap enter_user_namespace(const IdentityRequest& identity) {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (uid == 0 && !has_one_id()) {
    if (make_namespace_mapped_by(write_identity_maps)) return IdMap::all_ids;
  } else if (identity.fake_root && identity.subordinate_ids) {
    if (make_namespace_of_subordinate_ids()) return IdMap::all_ids;
  } else {
    make_user_namespace();
  }
  const uid_t inside_uid = identity.fake_root ? 0 : identity.uid.value_or(uid);
  const gid_t inside_gid = identity.fake_root ? 0 : identity.gid.value_or(gid);
  try {
    // One of newuidmap and newgidmap may have worked: a map is written once.
    if (is_unmapped("/proc/self/gid_map")) {
      write_once("/proc/self/setgroups", "deny");
      write_once("/proc/self/gid_map", base::cat(inside_gid, " ", gid, " 1\n"));
    }
    if (is_unmapped("/proc/self/uid_map"))
      write_once("/proc/self/uid_map", base::cat(inside_uid, " ", uid, " 1\n"));
  } catch (base::Error& error) {
    HostState state = read_host_state();
    state.root = uid == 0;  // nobody is, while nothing is mapped
    const std::string hint(host_hint(HostOperation::map_user, error.errno_value(), state));
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

namespace {

// As root, in a namespace that has every id: groups, then the group, then the user. Capabilities
// are to survive until they are given up by name.
void become(const IdentityRequest& identity) {
  if (!identity.uid && !identity.gid) return;
  const gid_t gid = identity.gid.value_or(::getegid());
  const uid_t uid = identity.uid.value_or(::geteuid());
  ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
  if (::setgroups(0, nullptr) != 0 || ::setresgid(gid, gid, gid) != 0 ||
      ::setresuid(uid, uid, uid) != 0)
    throw base::errno_error(errno, "cannot become user ", uid, " and group ", gid);
}

}  // namespace

void drop_privileges(IdMap ids, const IdentityRequest& identity, Capabilities kept) {
  Capabilities known = 0;
  for (int capability = 0; capability < 64; ++capability) {
    const Capabilities bit = Capabilities{1} << capability;
    const int request = (kept & bit) == 0 ? PR_CAPBSET_DROP : PR_CAPBSET_READ;
    if (::prctl(request, capability, 0, 0, 0) < 0) {
      if (errno == EINVAL) break;  // the kernel knows no more of them
      throw base::errno_error(errno, "cannot empty the capability bounding set");
    }
    known |= bit;
  }
  kept &= known;
  if (ids == IdMap::all_ids && !identity.fake_root) become(identity);
  // First: without capabilities, others of the user in this namespace could trace us, and programs
  // that the image's scripts start could reach us through /proc. It ends with the payload's exec.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const auto part = static_cast<std::uint32_t>(kept >> (32 * i));
    sets[i] = {part, part, part};
  }
  if (::syscall(SYS_capset, &header, sets.data()) != 0)
    throw base::errno_error(errno, "cannot give up capabilities");
  // Without this they would end with the next execve of whoever is not user 0.
  for (int capability = 0; kept >> capability != 0 && capability < 64; ++capability) {
    if ((kept >> capability & 1) != 0 &&
        ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0)
      throw base::errno_error(errno, "cannot keep capability ", capability);
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    throw base::errno_error(errno, "cannot set no_new_privs");
}

}  // namespace runtime
