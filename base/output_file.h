// SPDX-License-Identifier: Apache-2.0
// A file that appears under its name complete or not at all. It is written without a name
// (O_TMPFILE) where the file system allows it, so that even SIGKILL leaves nothing behind, else
// under a hidden unique name beside the target.
#pragma once

#include <sys/types.h>

#include <mutex>
#include <string>

#include "base/unique_fd.h"

namespace base {

enum class Existing { refuse, replace };

class AtomicOutputFile {
 public:
  // Throws when `path` is a folder, when it is another special file, when it exists and may not be
  // replaced, and when its folder cannot be written. `mode` is subject to the umask. `hint` goes
  // with the error that there is a file which may not be replaced, here and in commit().
  AtomicOutputFile(std::string path, mode_t mode, Existing existing, std::string hint = {});
  ~AtomicOutputFile() { discard(); }
  AtomicOutputFile(const AtomicOutputFile&) = delete;
  AtomicOutputFile& operator=(const AtomicOutputFile&) = delete;

  int fd() const { return file_.get(); }
  const std::string& folder() const { return folder_; }

  // Flushes to the disk and gives the file its name. Refuses to replace a file that appeared in the
  // meantime unless Existing::replace.
  void commit();

  // Removes what has a name already; does nothing after commit(). May be called from any thread, at
  // any time: a commit() that it overtakes fails.
  void discard() noexcept;

 private:
  [[noreturn]] void throw_unwritable(int errno_value) const;
  bool open_unnamed(mode_t mode);
  void open_named(mode_t mode);
  void give_temporary_name();
  void publish();

  std::string path_, folder_, name_;
  Existing existing_;
  std::string hint_;
  UniqueFd directory_;
  UniqueFd file_;
  std::mutex mutex_;            // guards what follows
  std::string temporary_name_;  // in folder_; empty: the file has no temporary name
  bool discarded_ = false;
};

// A nameless file in `folder` for scratch data; gone when its descriptor is closed.
UniqueFd make_unnamed_file(const std::string& folder);

}  // namespace base
