// SPDX-License-Identifier: Apache-2.0
#include "runtime/path_in_root.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/syscalls.h"
#include "runtime/root_tree.h"

namespace runtime {
namespace {

constexpr int kMaxRetries = 8;

// The file system below an opened directory.
struct OpenTree {
  using Node = base::UniqueFd;

  Node root() const { return base::open_file_at(top, ".", O_PATH | O_DIRECTORY); }

  std::optional<Node> find(const Node* parent, const std::string& name) const {
    Node fd(::openat(parent == nullptr ? top : parent->get(), name.c_str(),
                     O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (fd) return fd;
    if (errno == ENOENT) return std::nullopt;
    throw base::errno_error(errno, "cannot resolve ", base::printable(path), " in the container");
  }

  std::optional<std::string> link_target(const Node& node) const {
    std::array<char, PATH_MAX> target{};
    const ssize_t length = ::readlinkat(node.get(), "", target.data(), target.size());
    if (length < 0) return std::nullopt;
    return std::string(target.data(), static_cast<std::size_t>(length));
  }

  int top;
  std::string_view path;  // appears in messages
};

}  // namespace

PathInRoot walk_in_root(int root, std::string_view path) {
  return base::PathWalk<OpenTree>({root, path}, path).run();
}

std::optional<base::UniqueFd> find_in_root(int root, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  for (int attempt = 0; attempt < kMaxRetries; ++attempt) {
    const long fd = ::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how);
    if (fd >= 0) return base::UniqueFd(static_cast<int>(fd));
    if (errno == ENOENT) return std::nullopt;
    // EAGAIN: a rename or mount elsewhere raced with "..". Anything else, a kernel or a seccomp
    // filter without the call included, is left to the walk, whose verdict is final.
    if (errno != EAGAIN) break;
  }
  PathInRoot walked = walk_in_root(root, path);
  if (!walked.missing.empty()) return std::nullopt;
  return std::move(walked.deepest);
}

std::optional<base::UniqueFd> find_link_in_root(int root, const std::string& path) {
  const std::optional<base::UniqueFd> parent = find_in_root(root, std::string(parent_path(path)));
  if (!parent) return std::nullopt;
  const std::string name(base_name(path));
  base::UniqueFd found(::openat(parent->get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (found) return found;
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  throw base::errno_error(errno, "cannot resolve ", base::printable(path), " in the container");
}

}  // namespace runtime
