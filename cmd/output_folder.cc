// SPDX-License-Identifier: Apache-2.0
#include "cmd/output_folder.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "base/error.h"
#include "base/syscalls.h"
#include "cmd/temporary_folder.h"

namespace cmd {
namespace {

constexpr int kRemovalAttempts = 100;
constexpr timespec kRemovalPause{0, 20'000'000};

}  // namespace

OutputFolder::OutputFolder(const std::string& path, base::Existing existing)
    : path_(path), existing_(existing) {
  while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
  if (existing == base::Existing::refuse && base::find_status(path_, false)) {
    throw base::error("cannot write ", base::printable(path_), ": it exists already")
        .with_hint("use --force to replace it");
  }
  const std::size_t slash = path_.rfind('/');
  parent_ = slash == std::string::npos ? "." : slash == 0 ? "/" : path_.substr(0, slash);
  std::string part = parent_ + "/.sandbox-XXXXXX";
  if (::mkdtemp(part.data()) == nullptr)
    throw base::errno_error(errno, "cannot write into the folder ", base::printable(parent_));
  part_ = part;
  ::chmod(part_.c_str(), 0700);  // whatever the umask
  try {
    fd_ = base::open_file(part_, O_RDONLY | O_DIRECTORY);
  } catch (...) {
    discard();
    throw;
  }
}

// Where names cannot be exchanged (NFS, and file systems in user space), what was there steps aside
// for a moment.
void OutputFolder::replace() {
  std::string old = part_;
  if (::renameat2(AT_FDCWD, part_.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) != 0) {
    old += ".old";
    const bool is_unknown = errno == EINVAL || errno == ENOSYS;
    if (!is_unknown || ::rename(path_.c_str(), old.c_str()) != 0)
      throw base::errno_error(errno, "cannot replace ", base::printable(path_));
    if (::rename(part_.c_str(), path_.c_str()) != 0) {
      const int cause = errno;
      ::rename(old.c_str(), path_.c_str());
      throw base::errno_error(cause, "cannot replace ", base::printable(path_));
    }
  }
  remove_tree(old);
}

void OutputFolder::commit() {
  const std::lock_guard lock(mutex_);
  if (is_discarded_) throw base::error("cannot write ", base::printable(path_), ": interrupted");
  if (::rename(part_.c_str(), path_.c_str()) != 0) {
    const bool in_the_way = errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR;
    if (!in_the_way || existing_ == base::Existing::refuse)
      throw base::errno_error(errno, "cannot write ", base::printable(path_));
    replace();
  }
  part_.clear();
}

// A writer may make one more file before it learns that it is to stop.
void OutputFolder::discard() noexcept {
  const std::lock_guard lock(mutex_);
  is_discarded_ = true;
  if (part_.empty()) return;
  struct stat status {};
  for (int attempt = 0; attempt < kRemovalAttempts; ++attempt) {
    remove_tree(part_);
    if (::lstat(part_.c_str(), &status) != 0) break;
    ::nanosleep(&kRemovalPause, nullptr);
  }
  part_.clear();
}

}  // namespace cmd
