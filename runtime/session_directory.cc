// SPDX-License-Identifier: Apache-2.0
#include "runtime/session_directory.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>

#include "base/syscalls.h"
#include "base/text.h"

namespace runtime {
namespace {

// /proc comes last: the fallbacks of mount_api speak through /proc/self/fd.
constexpr std::array<const char*, 6> kPlaces = {"/tmp", "/run", "/mnt", "/var", "/etc", "/proc"};

}  // namespace

SessionDirectory SessionDirectory::mount() {
  int first_errno = 0;
  for (const char* place : kPlaces) {
    if (::mount("sifrun", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0) {
      if (first_errno == 0 || first_errno == ENOENT) first_errno = errno;
      continue;
    }
    SessionDirectory session;
    session.path_ = place;
    session.fd_ = base::open_file(place, O_PATH | O_DIRECTORY);
    session.device_ = base::file_status(session.fd_.get(), place).st_dev;
    return session;
  }
  throw base::errno_error(first_errno, "cannot mount a private tmpfs on ", kPlaces[0]);
}

std::string SessionDirectory::path(std::string_view name) const {
  return base::cat(path_, "/", name);
}

void SessionDirectory::set_bindable(bool bindable) {
  if (::mount(nullptr, path_.c_str(), nullptr, bindable ? MS_PRIVATE : MS_UNBINDABLE, nullptr) != 0)
    throw base::errno_error(errno, "cannot set the propagation of ", path_);
}

std::string SessionDirectory::unique_name(std::string_view name) {
  return base::cat(name, ".", made_++);
}

std::string SessionDirectory::make_mount_point(std::string_view name) {
  const std::string unique = unique_name(name);
  if (::mkdirat(fd_.get(), unique.c_str(), 0755) != 0)
    throw base::errno_error(errno, "cannot make ", path(unique));
  return path(unique);
}

base::UniqueFd SessionDirectory::make_directory(std::string_view name, mode_t mode) {
  const std::string unique = unique_name(name);
  if (::mkdirat(fd_.get(), unique.c_str(), mode) != 0)
    throw base::errno_error(errno, "cannot make ", path(unique));
  return base::open_file_at(fd_.get(), unique, O_PATH | O_DIRECTORY);
}

base::UniqueFd SessionDirectory::make_file(std::string_view name, std::string_view content) {
  const std::string unique = unique_name(name);
  const base::UniqueFd file =
      base::open_file_at(fd_.get(), unique, O_WRONLY | O_CREAT | O_EXCL, 0644);
  base::write_all(file.get(), content, path(unique));
  return base::open_file_at(fd_.get(), unique, O_PATH);
}

}  // namespace runtime
