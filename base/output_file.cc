// SPDX-License-Identifier: Apache-2.0
#include "base/output_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <optional>
#include <utility>

#include "base/syscalls.h"

namespace base {
namespace {

constexpr int kNameAttempts = 100;

std::string self_fd_path(int fd) { return cat("/proc/self/fd/", fd); }

// File systems without nameless files answer EOPNOTSUPP; kernels before 3.11 and some network file
// systems take O_TMPFILE for O_DIRECTORY and answer EISDIR, EINVAL or ENOENT.
bool lacks_unnamed_files(int errno_value) {
  return errno_value == EOPNOTSUPP || errno_value == EISDIR || errno_value == EINVAL ||
         errno_value == ENOENT;
}

std::string random_name(const std::string& base_name) {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != static_cast<ssize_t>(sizeof number))
    throw errno_error(errno, "cannot get random bytes");
  // A name may have 255 bytes; the dot, the dash and 16 digits need their share.
  return cat(".", base_name.substr(0, 230), "-", hex(&number, sizeof number));
}

}  // namespace

AtomicOutputFile::AtomicOutputFile(std::string path, mode_t mode, Existing existing,
                                   std::string hint)
    : path_(std::move(path)), existing_(existing), hint_(std::move(hint)) {
  const std::size_t slash = path_.rfind('/');
  folder_ = slash == std::string::npos ? "." : slash == 0 ? "/" : path_.substr(0, slash);
  name_ = slash == std::string::npos ? path_ : path_.substr(slash + 1);
  const std::optional<struct stat> status = find_status(path_, false);
  if (name_.empty() || name_ == "." || name_ == ".." || (status && S_ISDIR(status->st_mode)))
    throw error("cannot write ", printable(path_), ": it is a folder, a file name is needed");
  if (status && !S_ISREG(status->st_mode) && !S_ISLNK(status->st_mode))
    throw error("cannot write ", printable(path_), ": it exists and is not a regular file");
  if (status && existing_ == Existing::refuse)
    throw Error(cat("cannot write ", printable(path_), ": it exists already"), EEXIST)
        .with_hint(hint_);
  directory_ = open_file(folder_, O_RDONLY | O_DIRECTORY);
  if (!open_unnamed(mode)) open_named(mode);
}

void AtomicOutputFile::throw_unwritable(int errno_value) const {
  std::array<char, PATH_MAX> here{};
  // The kernel says EPERM or ENOENT then.
  if (folder_ == "." && ::getcwd(here.data(), here.size()) == nullptr && errno == ENOENT)
    throw error("cannot write ", printable(path_), ": the working directory has been removed");
  throw errno_error(errno_value, "cannot write into the folder ", printable(folder_));
}

bool AtomicOutputFile::open_unnamed(mode_t mode) {
  const int fd = ::openat(directory_.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
  if (fd < 0) {
    if (lacks_unnamed_files(errno)) return false;
    throw_unwritable(errno);
  }
  file_.reset(fd);
  // Naming the file later goes through /proc (linkat's AT_EMPTY_PATH needs a capability).
  if (::access(self_fd_path(fd).c_str(), F_OK) == 0) return true;
  file_.reset();
  return false;
}

void AtomicOutputFile::open_named(mode_t mode) {
  for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
    const std::string name = random_name(name_);
    const int fd =
        ::openat(directory_.get(), name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
    if (fd >= 0) {
      file_.reset(fd);
      temporary_name_ = name;
      return;
    }
    if (errno != EEXIST) break;
  }
  throw_unwritable(errno);
}

void AtomicOutputFile::give_temporary_name() {
  const std::string from = self_fd_path(file_.get());
  for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
    const std::string name = random_name(name_);
    if (::linkat(AT_FDCWD, from.c_str(), directory_.get(), name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      temporary_name_ = name;
      return;
    }
    if (errno != EEXIST) break;
  }
  throw errno_error(errno, "cannot write ", printable(path_));
}

// An unnamed file cannot replace a name, so it gets a temporary one first; not replacing is
// linkat's natural behaviour.
void AtomicOutputFile::publish() {
  const int dir = directory_.get();
  if (existing_ == Existing::replace) {
    if (temporary_name_.empty()) give_temporary_name();
    if (::renameat(dir, temporary_name_.c_str(), dir, name_.c_str()) != 0)
      throw errno_error(errno, "cannot write ", printable(path_));
    temporary_name_.clear();
    return;
  }
  int result = 0;
  if (temporary_name_.empty()) {
    const std::string from = self_fd_path(file_.get());
    result = ::linkat(AT_FDCWD, from.c_str(), dir, name_.c_str(), AT_SYMLINK_FOLLOW);
  } else {
    result = ::renameat2(dir, temporary_name_.c_str(), dir, name_.c_str(), RENAME_NOREPLACE);
    if (result == 0) temporary_name_.clear();
    // NFS and others know no RENAME_NOREPLACE but have links; discard() removes the other name.
    if (result != 0 && (errno == EINVAL || errno == ENOSYS))
      result = ::linkat(dir, temporary_name_.c_str(), dir, name_.c_str(), 0);
    // Some in user space know neither. What another process names so in this moment would be lost.
    if (result != 0 && (errno == EPERM || errno == ENOTSUP || errno == ENOSYS) &&
        ::faccessat(dir, name_.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT) {
      result = ::renameat(dir, temporary_name_.c_str(), dir, name_.c_str());
      if (result == 0) temporary_name_.clear();
    }
  }
  if (result == 0) return;
  if (errno == EEXIST)
    throw Error(cat("cannot write ", printable(path_), ": it has been made meanwhile"), EEXIST)
        .with_hint(hint_);
  throw errno_error(errno, "cannot write ", printable(path_));
}

void AtomicOutputFile::commit() {
  if (::fsync(file_.get()) != 0) throw errno_error(errno, "cannot write ", printable(path_));
  {
    const std::lock_guard lock(mutex_);
    if (discarded_) throw error("cannot write ", printable(path_), ": interrupted");
    publish();
  }
  // Some file systems refuse to sync a folder; the file itself is safe by now.
  ::fsync(directory_.get());
  discard();
}

void AtomicOutputFile::discard() noexcept {
  const std::lock_guard lock(mutex_);
  discarded_ = true;
  if (!temporary_name_.empty()) ::unlinkat(directory_.get(), temporary_name_.c_str(), 0);
  temporary_name_.clear();
}

UniqueFd make_unnamed_file(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
  if (fd >= 0) return UniqueFd(fd);
  if (!lacks_unnamed_files(errno))
    throw errno_error(errno, "cannot make a temporary file in ", printable(folder));
  std::string name = folder + "/.sifconv-XXXXXX";
  UniqueFd named(::mkostemp(name.data(), O_CLOEXEC));
  if (!named) throw errno_error(errno, "cannot make a temporary file in ", printable(folder));
  if (::unlink(name.c_str()) != 0) throw errno_error(errno, "cannot remove ", printable(name));
  return named;
}

}  // namespace base
