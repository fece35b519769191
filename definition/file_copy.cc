// SPDX-License-Identifier: Apache-2.0
#include "definition/file_copy.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/path_in_root.h"
#include "runtime/root_tree.h"

namespace definition {
namespace {

constexpr std::size_t kChunk = 1 << 20;
constexpr mode_t kModes = 0755;              // what is kept of modes
constexpr std::size_t kMaxDepth = 1000;      // of folders in each other
constexpr std::size_t kMaxMatches = 100000;  // of braces

// A descriptor that can be read, of one that only names a file.
base::UniqueFd readable(const base::UniqueFd& path, std::string_view name) {
  const std::string place = base::cat("/proc/self/fd/", path.get());
  base::UniqueFd fd(::open(place.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw base::errno_error(errno, "cannot read ", base::printable(name));
  return fd;
}

std::vector<std::string> sorted_names(const base::UniqueFd& folder, std::string_view name) {
  std::vector<std::string> names = *base::list_names(folder.get(), name);
  std::ranges::sort(names);
  return names;
}

// "a{b,c}d" -> "abd", "acd", as bash does it; braces without a comma stay.
std::vector<std::string> expand_braces(const std::string& text) {
  for (std::size_t open = text.find('{'); open != std::string::npos;
       open = text.find('{', open + 1)) {
    std::vector<std::size_t> ends;  // of the alternatives
    int depth = 0;
    std::size_t at = open;
    for (; at < text.size(); ++at) {
      if (text[at] == '{') ++depth;
      if (text[at] == '}' && --depth == 0) break;
      if (text[at] == ',' && depth == 1) ends.push_back(at);
    }
    if (at == text.size() || ends.empty()) continue;
    ends.push_back(at);
    std::vector<std::string> all;
    std::size_t begin = open + 1;
    for (const std::size_t end : ends) {
      const std::string one = text.substr(0, open) + text.substr(begin, end - begin);
      std::ranges::move(expand_braces(one + text.substr(at + 1)), std::back_inserter(all));
      if (all.size() > kMaxMatches) throw base::error("too many files: ", base::printable(text));
      begin = end + 1;
    }
    return all;
  }
  return {text};
}

// Where sources are looked up: O_PATH descriptors, links followed.
class Source {
 public:
  explicit Source(const RootFolder* stage) : stage_(stage) {}

  bool follows_links() const { return stage_ == nullptr; }

  std::optional<base::UniqueFd> find(const std::string& path) const {
    if (stage_ != nullptr) return find_in_stage(path);
    base::UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
    if (fd) return fd;
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    throw base::errno_error(errno, "while copying ", base::printable(path));
  }

  // The paths that the pattern stands for; itself if it is none.
  std::vector<std::string> expand(const std::string& pattern) const {
    std::vector<std::string> paths;
    for (const std::string& one : expand_braces(pattern))
      std::ranges::move(expand_wildcards(one), std::back_inserter(paths));
    return paths;
  }

 private:
  // Sorted.
  std::vector<std::string> expand_wildcards(const std::string& pattern) const {
    std::vector<std::string> paths = {pattern.starts_with('/') ? "/" : ""};
    for (const std::string& part : base::split(pattern, '/')) {
      if (part.empty()) continue;
      std::vector<std::string> longer;
      for (const std::string& path : paths) add_matches(path, part, longer);
      paths = std::move(longer);
    }
    if (is_pattern(pattern)) std::erase_if(paths, [&](const auto& path) { return !find(path); });
    return paths;
  }

  static bool is_pattern(const std::string& text) {
    return text.find_first_of("*?[") != std::string::npos;
  }

  std::optional<base::UniqueFd> find_in_stage(const std::string& path) const {
    try {
      return runtime::find_in_root(stage_->fd(), path);
    } catch (const base::Error& problem) {
      if (problem.errno_value() == ENOTDIR) return std::nullopt;
      throw;
    }
  }

  void add_matches(const std::string& folder, const std::string& part,
                   std::vector<std::string>& paths) const {
    const std::string prefix = folder.empty() || folder.ends_with('/') ? folder : folder + "/";
    if (!is_pattern(part)) {
      paths.push_back(prefix + part);
      return;
    }
    const std::optional<base::UniqueFd> opened = find(folder.empty() ? "." : folder);
    if (!opened || !S_ISDIR(base::file_status(opened->get(), folder).st_mode)) return;
    for (const std::string& name : sorted_names(*opened, folder)) {
      if (::fnmatch(part.c_str(), name.c_str(), FNM_PERIOD) == 0) paths.push_back(prefix + name);
    }
  }

  const RootFolder* stage_;
};

using Identity = std::pair<dev_t, ino_t>;
Identity identity_of(const struct stat& status) { return {status.st_dev, status.st_ino}; }

class Copier {
 public:
  Copier(const Source& source, RootFolder& target, const std::string& work,
         const std::function<void()>& pause)
      : source_(source), target_(target), pause_(pause), buffer_(kChunk) {
    own_.push_back(identity_of(base::file_status(target.fd(), target.path())));
    if (const auto status = base::find_status(work)) own_.push_back(identity_of(*status));
  }

  // As cp: into a folder that is there, or is named like one, under its own name.
  void copy(const std::string& path, const std::string& destination) {
    const std::optional<base::UniqueFd> from = source_.find(path);
    if (!from) throw base::errno_error(ENOENT, "while copying ", base::printable(path));
    if (destination.ends_with('/')) target_.make_folder(destination);
    RootFolder::Place place = target_.place_of(destination);
    if (place.exists && is_folder(place)) {
      const std::string name(runtime::base_name(path));
      const bool names_content = name.empty() || name == "." || name == "..";
      if (!names_content) place = target_.place_of(destination + "/" + name);
    }
    copy_entry(*from, place.folder, place.name, path);
  }

 private:
  static bool is_folder(const RootFolder::Place& place) {
    struct stat status {};
    return place.name.empty() ||
           (::fstatat(place.folder.get(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISDIR(status.st_mode));
  }

  void copy_entry(const base::UniqueFd& from, const base::UniqueFd& folder, const std::string& name,
                  const std::string& path) {
    pause_();
    const struct stat status = base::file_status(from.get(), path);
    if (S_ISDIR(status.st_mode)) return copy_folder(from, status, folder, name, path);
    if (S_ISLNK(status.st_mode)) return copy_link(from, folder, name, path);
    if (!S_ISREG(status.st_mode)) {
      throw base::error("while copying ", base::printable(path),
                        ": it is neither a file nor a folder nor a link");
    }
    const base::UniqueFd in = readable(from, path);
    const base::UniqueFd out = open_target(folder, name, status.st_mode & kModes, path);
    while (const std::size_t count = base::read_up_to(in.get(), std::span(buffer_), path))
      base::write_all(out.get(), std::span(buffer_).first(count), path);
  }

  // What is there is written over, or gives way if it cannot be.
  static base::UniqueFd open_target(const base::UniqueFd& folder, const std::string& name,
                                    mode_t mode, const std::string& path) {
    constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    base::UniqueFd fd(::openat(folder.get(), name.c_str(), kFlags, mode));
    if (!fd && errno != EISDIR && ::unlinkat(folder.get(), name.c_str(), 0) == 0)
      fd.reset(::openat(folder.get(), name.c_str(), kFlags | O_EXCL, mode));
    if (!fd) throw base::errno_error(errno, "while copying ", base::printable(path));
    return fd;
  }

  static void copy_link(const base::UniqueFd& from, const base::UniqueFd& folder,
                        const std::string& name, const std::string& path) {
    std::array<char, PATH_MAX> target{};
    const ssize_t length = ::readlinkat(from.get(), "", target.data(), target.size() - 1);
    if (length < 0) throw base::errno_error(errno, "cannot read the link ", base::printable(path));
    if (::unlinkat(folder.get(), name.c_str(), 0) != 0 && errno != ENOENT)
      throw base::errno_error(errno, "while copying ", base::printable(path));
    if (::symlinkat(target.data(), folder.get(), name.c_str()) != 0)
      throw base::errno_error(errno, "while copying ", base::printable(path));
  }

  void copy_folder(const base::UniqueFd& from, const struct stat& status,
                   const base::UniqueFd& folder, const std::string& name, const std::string& path) {
    const Identity identity = identity_of(status);
    if (above_.size() == kMaxDepth || std::ranges::find(above_, identity) != above_.end())
      throw base::errno_error(ELOOP, "while copying ", base::printable(path));
    if (std::ranges::find(own_, identity) != own_.end()) {
      throw base::error("while copying ", base::printable(path),
                        ": the image is built in that folder, and cannot be copied into itself")
          .with_hint("APPTAINER_TMPDIR names another place to build in");
    }
    if (!name.empty() && ::mkdirat(folder.get(), name.c_str(), status.st_mode & kModes) != 0 &&
        errno != EEXIST)
      throw base::errno_error(errno, "while copying ", base::printable(path));
    const base::UniqueFd made = base::open_file_at(folder.get(), name.empty() ? "." : name,
                                                   O_PATH | O_DIRECTORY | O_NOFOLLOW);
    above_.push_back(identity);
    const int flags = O_PATH | O_CLOEXEC | (source_.follows_links() ? 0 : O_NOFOLLOW);
    for (const std::string& child : sorted_names(from, path)) {
      const std::string child_path = path + "/" + child;
      const base::UniqueFd fd(::openat(from.get(), child.c_str(), flags));
      if (!fd) throw base::errno_error(errno, "while copying ", base::printable(child_path));
      copy_entry(fd, made, child, child_path);
    }
    above_.pop_back();
  }

  const Source& source_;
  RootFolder& target_;
  const std::function<void()>& pause_;
  std::vector<std::byte> buffer_;
  std::vector<Identity> own_;    // of the build's folders
  std::vector<Identity> above_;  // the folders that the current one lies in
};

}  // namespace

void copy_files(const CopyJob& job, RootFolder& target, const std::function<void()>& pause) {
  const Source source(job.stage);
  Copier copier(source, target, job.work, pause);
  for (const FileCopy& copy : job.copies) {
    base::log_info("Copying ", base::printable(copy.source), " to ",
                   base::printable(copy.destination));
    const std::vector<std::string> paths = source.expand(copy.source);
    if (paths.empty())
      throw base::errno_error(ENOENT, "while copying ", base::printable(copy.source));
    for (const std::string& path : paths) {
      const std::string& wanted = copy.destination.empty() ? path : copy.destination;
      copier.copy(path, wanted.starts_with('/') ? wanted : job.base + "/" + wanted);
    }
  }
}

}  // namespace definition
