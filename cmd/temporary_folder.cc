// SPDX-License-Identifier: Apache-2.0
#include "cmd/temporary_folder.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "base/text.h"

namespace cmd {
namespace {

namespace fs = std::filesystem;

std::string chosen_parent(const std::optional<std::string>& parent) {
  if (parent && !parent->empty()) return *parent;
  const char* variable = std::getenv("TMPDIR");
  return variable == nullptr || *variable == '\0' ? "/tmp" : variable;
}

}  // namespace

TemporaryFolder::TemporaryFolder(const std::optional<std::string>& parent, std::string_view prefix)
    : path_(base::cat(chosen_parent(parent), "/", prefix, "XXXXXX")) {
  if (::mkdtemp(path_.data()) == nullptr) {
    throw base::errno_error(errno, "cannot make a folder ", base::printable(path_))
        .with_hint("APPTAINER_TMPDIR names another place");
  }
}

std::string TemporaryFolder::path(std::string_view name) const {
  return base::cat(path_, "/", name);
}

void TemporaryFolder::remove() const noexcept { remove_tree(path_); }

// Folders of an image may forbid their owner to change them.
void remove_tree(const std::string& path) noexcept {
  std::error_code ignored;
  // Through a link it would be someone else's tree.
  if (!fs::is_directory(fs::symlink_status(path, ignored))) {
    fs::remove(path, ignored);
    return;
  }
  const auto open_up = [&](const fs::path& folder) {
    fs::permissions(folder, fs::perms::owner_all, fs::perm_options::add, ignored);
  };
  open_up(path);
  fs::recursive_directory_iterator at(path, ignored), end;
  while (!ignored && at != end) {
    if (at->is_directory(ignored) && !at->is_symlink(ignored)) open_up(at->path());
    at.increment(ignored);
  }
  fs::remove_all(path, ignored);
}

}  // namespace cmd
