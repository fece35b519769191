// SPDX-License-Identifier: Apache-2.0
#include "runtime/device_files.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/mount_api.h"
#include "runtime/root_tree.h"
#include "runtime/target_maker.h"

namespace runtime {
namespace {

constexpr std::array<const char*, 6> kNodes = {"null", "zero", "full", "random", "urandom", "tty"};

struct Link {
  const char *name, *target;
};
constexpr std::array<Link, 5> kLinks = {{{"fd", "/proc/self/fd"},
                                         {"stdin", "/proc/self/fd/0"},
                                         {"stdout", "/proc/self/fd/1"},
                                         {"stderr", "/proc/self/fd/2"},
                                         {"ptmx", "pts/ptmx"}}};

struct Directory {
  const char* name;
  mode_t mode;
};
constexpr std::array<Directory, 3> kDirectories = {
    {{"pts", 0755}, {"shm", 01777}, {"mqueue", 01777}}};

void bind_node(int directory, const std::string& name) {
  const std::string host_path = "/dev/" + name;
  if (!base::find_status(host_path)) return;
  base::open_file_at(directory, name, O_WRONLY | O_CREAT | O_EXCL, 0666);
  MountSource::open(host_path).attach(base::open_file_at(directory, name, O_PATH).get(),
                                      MountFlags::no_setuid, "/dev/" + name);
}

// The caller's terminal, whose own name lies in the host's /dev/pts: programs find it as
// /dev/console then, as with Apptainer.
void bind_console(int directory) {
  std::array<char, PATH_MAX> name{};
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::isatty(fd) == 0 || ::ttyname_r(fd, name.data(), name.size()) != 0) continue;
    base::open_file_at(directory, "console", O_WRONLY | O_CREAT | O_EXCL, 0600);
    MountSource::open(name.data())
        .attach(base::open_file_at(directory, "console", O_PATH).get(), MountFlags::no_setuid,
                "/dev/console");
    return;
  }
}

// Nodes may lie in directories of their own, such as /dev/dri.
void bind_device(int directory, const HostDevice& device) {
  if (!is_within(device.path, "/dev") || device.path == "/dev") return;
  const std::vector<std::string> components = base::split(device.path.substr(5), '/');
  const base::UniqueFd target = make_path(directory, components, false);
  MountSource::open(device.source).attach(target.get(), MountFlags::no_setuid, device.path);
}

}  // namespace

base::UniqueFd make_device_directory(SessionDirectory& session,
                                     std::span<const HostDevice> devices) {
  base::UniqueFd directory = session.make_directory("dev", 0755);
  for (const char* name : kNodes) bind_node(directory.get(), name);
  bind_console(directory.get());
  for (const Link& link : kLinks) {
    if (::symlinkat(link.target, directory.get(), link.name) != 0)
      throw base::errno_error(errno, "cannot make the link /dev/", link.name);
  }
  for (const Directory& entry : kDirectories) {
    if (::mkdirat(directory.get(), entry.name, entry.mode) != 0)
      throw base::errno_error(errno, "cannot make /dev/", entry.name);
  }
  for (const HostDevice& device : devices) bind_device(directory.get(), device);
  // An instance of its own: terminals of the host stay out of reach by number.
  mount_new("devpts", base::open_file_at(directory.get(), "pts", O_PATH).get(),
            MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620", "/dev/pts");
  return directory;
}

}  // namespace runtime
