// SPDX-License-Identifier: Apache-2.0
#include "definition/root_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/syscalls.h"
#include "runtime/path_in_root.h"
#include "runtime/root_tree.h"

namespace definition {
namespace {

constexpr mode_t kFolderMode = 0755;

// What `name` is in a folder that was resolved; the walk that found it has followed its links.
base::UniqueFd make_folder_in(const base::UniqueFd& parent, const std::string& name) {
  if (::mkdirat(parent.get(), name.c_str(), kFolderMode) != 0 && errno != EEXIST)
    throw base::errno_error(errno, "cannot make the folder ", base::printable(name));
  return base::open_file_at(parent.get(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

}  // namespace

RootFolder::RootFolder(std::string path)
    : path_(std::move(path)), fd_(base::open_file(path_, O_RDONLY | O_DIRECTORY)) {}

std::optional<std::string> RootFolder::find_text(const std::string& file) const {
  const std::optional<base::UniqueFd> found = runtime::find_in_root(fd_.get(), file);
  if (!found || !S_ISREG(base::file_status(found->get(), file).st_mode)) return std::nullopt;
  return base::read_small_file(base::cat("/proc/self/fd/", found->get()), kMaxTextFile);
}

void RootFolder::write_text(const std::string& file, std::string_view text, mode_t mode) {
  const base::UniqueFd folder = make_folder(std::string(runtime::parent_path(file)));
  const std::string name(runtime::base_name(file));
  if (::unlinkat(folder.get(), name.c_str(), 0) != 0 && errno != ENOENT)
    throw base::errno_error(errno, "cannot replace ", base::printable(file));
  const base::UniqueFd made =
      base::open_file_at(folder.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  base::write_all(made.get(), text, file);
  if (::fchmod(made.get(), mode) != 0)
    throw base::errno_error(errno, "cannot set the mode of ", base::printable(file));
}

base::UniqueFd RootFolder::make_folder(const std::string& folder) {
  runtime::PathInRoot walked = runtime::walk_in_root(fd_.get(), folder);
  base::UniqueFd at = std::move(walked.deepest);
  for (const std::string& name : walked.missing) at = make_folder_in(at, name);
  return at;
}

void RootFolder::remove(const std::string& file) {
  const std::string parent(runtime::parent_path(file)), name(runtime::base_name(file));
  const std::optional<base::UniqueFd> folder = runtime::find_in_root(fd_.get(), parent);
  if (folder && ::unlinkat(folder->get(), name.c_str(), 0) != 0 && errno != ENOENT)
    throw base::errno_error(errno, "cannot remove ", base::printable(file));
}

RootFolder::Place RootFolder::place_of(const std::string& path) {
  runtime::PathInRoot walked = runtime::walk_in_root(fd_.get(), path);
  if (walked.missing.empty()) {
    const std::string parent(runtime::parent_path(walked.canonical));
    return {make_folder(parent), std::string(runtime::base_name(walked.canonical)), true};
  }
  base::UniqueFd at = std::move(walked.deepest);
  for (std::size_t i = 0; i + 1 < walked.missing.size(); ++i)
    at = make_folder_in(at, walked.missing[i]);
  return {std::move(at), std::move(walked.missing.back()), false};
}

}  // namespace definition
