// SPDX-License-Identifier: Apache-2.0
#include "runtime/root_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "base/path_walk.h"
#include "base/syscalls.h"

namespace runtime {
namespace {

// Target of a symbolic link; empty for what is none; nullopt for what is not there. One system call
// tells all three.
std::optional<std::string> read_link(const std::string& path) {
  std::array<char, PATH_MAX> target;
  const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
  if (length < 0) return errno == EINVAL ? std::optional<std::string>("") : std::nullopt;
  return std::string(target.data(), static_cast<std::size_t>(length));
}

// Pushes the components so that the first is taken from the back first.
void push_components(std::string_view path, std::vector<std::string>& pending) {
  const std::size_t before = pending.size();
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    if (end > start) pending.emplace_back(path.substr(start, end - start));
    start = end + 1;
  }
  std::reverse(pending.begin() + static_cast<std::ptrdiff_t>(before), pending.end());
}

std::string spelled(const std::string& current, const std::vector<std::string>& pending) {
  std::string path = current;
  for (auto name = pending.rbegin(); name != pending.rend(); ++name) path += "/" + *name;
  return normal_path(path);
}

}  // namespace

bool RootTree::is_known_directory(const std::string& path) const {
  if (const auto known = directories_.find(path); known != directories_.end()) return known->second;
  struct stat status {};
  const bool found = ::lstat((top_ + path).c_str(), &status) == 0 && S_ISDIR(status.st_mode);
  directories_.emplace(path, found);
  return found;
}

std::optional<std::string> RootTree::walk(std::string_view path,
                                          std::vector<std::string>* spellings) const {
  std::string current;
  std::vector<std::string> pending;
  push_components(path, pending);
  if (spellings) spellings->push_back(spelled(current, pending));
  for (int links = 0; !pending.empty();) {
    const std::string name = std::move(pending.back());
    pending.pop_back();
    if (name == ".") continue;
    if (name == "..") {
      current = current.substr(0, std::min(current.rfind('/'), current.size()));
      continue;
    }
    const std::string next = current + "/" + name;
    if (!pending.empty() && is_known_directory(next)) {
      current = next;
      continue;
    }
    const std::optional<std::string> target = read_link(top_ + next);
    if (!target) return std::nullopt;
    if (target->empty()) {
      if (!pending.empty()) return std::nullopt;  // a file in place of a directory
      current = next;
      continue;
    }
    if (++links > base::kMaxLinks) return std::nullopt;
    if (target->starts_with('/')) current.clear();
    push_components(*target, pending);
    if (spellings) spellings->push_back(spelled(current, pending));
  }
  return current.empty() ? "/" : current;
}

const std::optional<std::string>& RootTree::canonical_directory(std::string_view path) const {
  const auto known = directories_of_files_.find(path);
  if (known != directories_of_files_.end()) return known->second;
  return directories_of_files_.emplace(path, walk(path, nullptr)).first->second;
}

// Most questions are about many files of few directories: those are walked to once.
std::optional<std::string> RootTree::resolve(std::string_view path) const {
  std::string whole(path);
  for (int links = 0; links <= base::kMaxLinks; ++links) {
    const std::string_view name = base_name(whole);
    if (name.empty() || name == "." || name == "..") return walk(whole, nullptr);
    const std::optional<std::string>& directory = canonical_directory(parent_path(whole));
    if (!directory) return std::nullopt;
    std::string file = *directory == "/" ? "" : *directory;
    file.append("/").append(name);
    const std::optional<std::string> target = read_link(top_ + file);
    if (!target) return std::nullopt;
    if (target->empty()) return file;
    whole = target->starts_with('/') ? *target : *directory + "/" + *target;
  }
  return std::nullopt;
}

std::vector<std::string> RootTree::spellings(std::string_view path) const {
  std::vector<std::string> found;
  const std::optional<std::string> end = walk(path, &found);
  if (!end) return {};
  if (found.back() != *end) found.push_back(*end);
  return found;
}

std::optional<struct stat> RootTree::status(std::string_view path) const {
  const std::optional<std::string> resolved = resolve(path);
  struct stat status {};
  if (!resolved || ::lstat(outside(*resolved).c_str(), &status) != 0) return std::nullopt;
  return status;
}

bool RootTree::is_directory(std::string_view path) const {
  const std::optional<struct stat> found = status(path);
  return found && S_ISDIR(found->st_mode);
}

bool RootTree::is_file(std::string_view path) const {
  const std::optional<struct stat> found = status(path);
  return found && S_ISREG(found->st_mode);
}

std::optional<base::UniqueFd> RootTree::open(std::string_view path) const {
  const std::optional<std::string> resolved = resolve(path);
  if (!resolved) return std::nullopt;
  // Not blocking on a FIFO that bears the name of a file.
  base::UniqueFd fd(::open(outside(*resolved).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return std::nullopt;
  return fd;
}

std::optional<std::string> RootTree::read(std::string_view path, std::size_t limit) const {
  const std::optional<base::UniqueFd> fd = open(path);
  if (!fd) return std::nullopt;
  std::string text;
  std::array<char, 16384> chunk;
  for (;;) {
    const ssize_t count = ::read(fd->get(), chunk.data(), chunk.size());
    if (count < 0) return std::nullopt;
    if (count == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(count));
    if (text.size() > limit) return std::nullopt;
  }
}

const std::vector<std::string>& RootTree::list(std::string_view path) const& {
  if (const auto known = lists_.find(path); known != lists_.end()) return known->second;
  std::vector<std::string>& names = lists_[std::string(path)];
  const std::optional<std::string> resolved = resolve(path);
  if (!resolved) return names;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(outside(*resolved).c_str()),
                                                      ::closedir);
  if (!directory) return names;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (names.size() == kMaxNames) break;
    names.emplace_back(name);
  }
  std::ranges::sort(names);
  return names;
}

std::string normal_path(std::string_view path) {
  std::string out;
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    const std::string_view name = path.substr(start, end - start);
    start = end + 1;
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      out.resize(std::min(out.rfind('/'), out.size()));
    } else {
      out.append("/").append(name);
    }
  }
  return out.empty() ? "/" : out;
}

bool is_within(std::string_view path, std::string_view directory) {
  return path == directory || directory == "/" ||
         (path.starts_with(directory) && path[directory.size()] == '/');
}

std::string_view parent_path(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos || slash == 0 ? "/" : path.substr(0, slash);
}

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

}  // namespace runtime
