// SPDX-License-Identifier: Apache-2.0
#include "runtime/path_in_root.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <deque>

#include "base/syscalls.h"
#include "base/text.h"

namespace runtime {
namespace {

constexpr int kMaxLinks = 40;  // the kernel's own limit
constexpr int kMaxRetries = 8;

void push_front(std::deque<std::string>& pending, std::string_view path) {
  std::vector<std::string> parts = base::split(path, '/');
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (!part->empty() && *part != ".") pending.push_front(std::move(*part));
  }
}

// One walk. The opened directories are kept, so that ".." never trusts the file system.
class Walk {
 public:
  Walk(int root, std::string_view path) : root_(root), path_(path) { push_front(pending_, path); }

  PathInRoot run() {
    while (!pending_.empty()) {
      const std::string name = std::move(pending_.front());
      pending_.pop_front();
      if (name == "..") {
        step_up();
      } else if (!result_.missing.empty()) {
        result_.missing.push_back(name);
      } else {
        step_down(name);
      }
    }
    result_.canonical = "/" + base::join(names_, "/");
    result_.deepest = fds_.empty() ? base::open_file_at(root_, ".", O_PATH | O_DIRECTORY)
                                   : std::move(fds_.back());
    return std::move(result_);
  }

 private:
  void step_up() {
    if (!result_.missing.empty()) {
      result_.missing.pop_back();
    } else if (!fds_.empty()) {
      fds_.pop_back();
      names_.pop_back();
    }
  }

  void step_down(const std::string& name) {
    const int parent = fds_.empty() ? root_ : fds_.back().get();
    base::UniqueFd fd(::openat(parent, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) {
      if (errno != ENOENT) throw failure(errno);
      result_.missing.push_back(name);
      return;
    }
    std::array<char, PATH_MAX> target{};
    const ssize_t length = ::readlinkat(fd.get(), "", target.data(), target.size());
    if (length < 0) {  // not a symbolic link
      fds_.push_back(std::move(fd));
      names_.push_back(name);
      return;
    }
    if (++links_ > kMaxLinks) throw failure(ELOOP);
    if (target[0] == '/') {
      fds_.clear();
      names_.clear();
    }
    push_front(pending_, std::string_view(target.data(), static_cast<std::size_t>(length)));
  }

  base::Error failure(int errno_value) const {
    return base::errno_error(errno_value, "cannot resolve ", base::printable(path_),
                             " in the container");
  }

  int root_;
  std::string path_;
  std::deque<std::string> pending_;
  std::vector<base::UniqueFd> fds_;
  std::vector<std::string> names_;
  PathInRoot result_;
  int links_ = 0;
};

}  // namespace

PathInRoot walk_in_root(int root, std::string_view path) { return Walk(root, path).run(); }

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

}  // namespace runtime
