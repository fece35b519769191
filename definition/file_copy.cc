// SPDX-License-Identifier: Apache-2.0
#include "definition/file_copy.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/path_in_root.h"
#include "runtime/root_tree.h"
#include "shell/brace_expansion.h"

namespace definition {
namespace {

constexpr std::size_t kChunk = 1 << 20;
constexpr std::uint64_t kMaxUnsized = 1 << 30;             // of a file whose size is not told
constexpr mode_t kFileModes = 0775, kFolderModes = 01775;  // what is kept of the host's
constexpr std::size_t kMaxDepth = 1000;                    // of folders in each other
constexpr std::size_t kMaxXattrs = 64 << 10;               // the kernel's, of names and of a value

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
    for (const std::string& one : shell::expand_braces(pattern))
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
    if (is_pattern(pattern)) {
      std::erase_if(paths, [&](const std::string& path) {
        const std::optional<base::UniqueFd> found = find(path);
        return !found ||
               (pattern.ends_with('/') && !S_ISDIR(base::file_status(found->get(), path).st_mode));
      });
    }
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
  Copier(const Source& source, RootFolder& target, const std::vector<std::string>& left_out,
         const std::function<void()>& pause)
      : source_(source),
        target_(target),
        pause_(pause),
        buffer_(kChunk),
        own_(identity_of(base::file_status(target.fd(), target.path()))) {
    for (const std::string& folder : left_out) {
      if (const auto status = base::find_status(folder)) left_out_.push_back(identity_of(*status));
    }
  }

  // Into a folder that is there, or is named like one, under its own name. As cp has it, `folder/.`
  // is the folder's content; of a stage `folder/` is, as Apptainer has it.
  void copy(const std::string& path, const std::string& destination, bool with_slash) {
    const std::optional<base::UniqueFd> from = source_.find(path);
    if (!from) throw base::errno_error(ENOENT, "while copying ", base::printable(path));
    if (destination.ends_with('/')) target_.make_folder(destination);
    RootFolder::Place place = target_.place_of(destination);
    if (place.exists && is_folder(place)) {
      const bool of_host = source_.follows_links();
      const std::string name(runtime::base_name(of_host ? path : runtime::normal_path(path)));
      const bool names_content =
          name.empty() || (of_host ? name == "." || name == ".." : with_slash);
      if (!names_content) place = target_.place_of(destination + "/" + name);
    }
    copies_.clear();  // a later copy may have taken their places
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
    const bool has_names = !source_.follows_links() && status.st_nlink > 1;
    if (has_names && link_to_copy(identity_of(status), folder, name, path)) return;
    if (S_ISLNK(status.st_mode)) {
      copy_link(from, folder, name, path);
    } else if (S_ISREG(status.st_mode)) {
      copy_file(from, status, folder, name, path);
    } else if (S_ISFIFO(status.st_mode)) {
      remove_old(folder, name, path);
      check(::mknodat(folder.get(), name.c_str(), S_IFIFO | (status.st_mode & kFileModes), 0),
            path);
    } else if (S_ISSOCK(status.st_mode)) {
      return base::log_warning("not copied, since it is a socket: ", base::printable(path));
    } else {
      throw base::error("while copying ", base::printable(path),
                        ": it is neither a file nor a folder nor a link");
    }
    if (!source_.follows_links()) keep_metadata(from, status, folder, name, path);
    if (has_names) copies_.emplace(identity_of(status), place_name(folder, name));
  }

  // Another name of what was copied before.
  bool link_to_copy(Identity identity, const base::UniqueFd& folder, const std::string& name,
                    const std::string& path) const {
    const auto copy = copies_.find(identity);
    if (copy == copies_.end()) return false;
    remove_old(folder, name, path);
    check(::linkat(AT_FDCWD, copy->second.c_str(), folder.get(), name.c_str(), 0), path);
    return true;
  }

  static std::string place_name(const base::UniqueFd& folder, const std::string& name) {
    return base::cat(base::find_link_target(base::cat("/proc/self/fd/", folder.get())).value_or(""),
                     "/", name);
  }

  // What a stage made is that in the image, too, but for owners that this namespace lacks.
  void keep_metadata(const base::UniqueFd& from, const struct stat& status,
                     const base::UniqueFd& folder, const std::string& name,
                     const std::string& path) {
    const std::string file = name.empty() ? "." : name;
    const bool is_given = ::fchownat(folder.get(), file.c_str(), status.st_uid, status.st_gid,
                                     AT_SYMLINK_NOFOLLOW) == 0;
    if (!is_given && errno != EINVAL && errno != EPERM) check(-1, path);
    if (!S_ISLNK(status.st_mode)) {
      check(::fchmodat(folder.get(), file.c_str(), status.st_mode & 07777, 0), path);
      keep_xattrs(from, base::cat("/proc/self/fd/", folder.get(), "/", file));
    }
    // Of compiled Python files the source's time is a part.
    const std::array<timespec, 2> times = {status.st_atim, status.st_mtim};
    ::utimensat(folder.get(), file.c_str(), times.data(), AT_SYMLINK_NOFOLLOW);
  }

  // What may not be set is left out, and labels of the host's are none of the image's.
  void keep_xattrs(const base::UniqueFd& from, const std::string& to) {
    const std::string source = base::cat("/proc/self/fd/", from.get());
    char* const names = reinterpret_cast<char*>(buffer_.data());
    std::byte* const value = buffer_.data() + kMaxXattrs;
    const ssize_t size = ::listxattr(source.c_str(), names, kMaxXattrs);
    for (const char* name = names; name < names + size; name += std::strlen(name) + 1) {
      const std::string_view word = name;
      if (word != "security.capability" && !word.starts_with("user.")) continue;
      const ssize_t length = ::getxattr(source.c_str(), name, value, kMaxXattrs);
      if (length >= 0) ::setxattr(to.c_str(), name, value, static_cast<std::size_t>(length), 0);
    }
  }

  // Holes stay holes.
  void copy_file(const base::UniqueFd& from, const struct stat& status,
                 const base::UniqueFd& folder, const std::string& name, const std::string& path) {
    const base::UniqueFd in = readable(from, path);
    const base::UniqueFd out = open_target(folder, name, status.st_mode & kFileModes, path);
    off_t end = 0;
    while (end < status.st_size) {
      off_t begin = ::lseek(in.get(), end, SEEK_DATA);
      if (begin < 0 && errno == ENXIO) break;  // nothing but a hole
      if (begin < 0) begin = end;              // a file system that does not tell
      end = ::lseek(in.get(), begin, SEEK_HOLE);
      if (end <= begin) end = status.st_size;
      copy_range(in, out, static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end), path);
    }
    check(::ftruncate(out.get(), status.st_size), path);
    // Files of /proc and the like have no size before they are read.
    if (status.st_size == 0) copy_range(in, out, 0, kMaxUnsized, path);
  }

  void copy_range(const base::UniqueFd& in, const base::UniqueFd& out, std::uint64_t at,
                  std::uint64_t end, const std::string& path) {
    while (at < end) {
      pause_();
      const auto piece = std::span(buffer_).first(std::min<std::uint64_t>(kChunk, end - at));
      const std::size_t count = base::pread_up_to(in.get(), piece, at, path);
      if (count == 0) return;  // it ends earlier
      base::pwrite_all(out.get(), piece.first(count), at, path);
      at += count;
    }
  }

  static void check(int result, const std::string& path) {
    if (result < 0) throw base::errno_error(errno, "while copying ", base::printable(path));
  }

  static void remove_old(const base::UniqueFd& folder, const std::string& name,
                         const std::string& path) {
    if (::unlinkat(folder.get(), name.c_str(), 0) != 0 && errno != ENOENT) check(-1, path);
  }

  // What is there is written over, or gives way if it cannot be.
  static base::UniqueFd open_target(const base::UniqueFd& folder, const std::string& name,
                                    mode_t mode, const std::string& path) {
    constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    base::UniqueFd fd(::openat(folder.get(), name.c_str(), kFlags, mode));
    if (!fd && errno != EISDIR && ::unlinkat(folder.get(), name.c_str(), 0) == 0)
      fd.reset(::openat(folder.get(), name.c_str(), kFlags | O_EXCL, mode));
    check(fd.get(), path);
    return fd;
  }

  static void copy_link(const base::UniqueFd& from, const base::UniqueFd& folder,
                        const std::string& name, const std::string& path) {
    std::array<char, PATH_MAX> target{};
    const ssize_t length = ::readlinkat(from.get(), "", target.data(), target.size() - 1);
    check(static_cast<int>(length), path);
    remove_old(folder, name, path);
    check(::symlinkat(target.data(), folder.get(), name.c_str()), path);
  }

  void copy_folder(const base::UniqueFd& from, const struct stat& status,
                   const base::UniqueFd& folder, const std::string& name, const std::string& path) {
    const Identity identity = identity_of(status);
    if (above_.size() == kMaxDepth || std::ranges::find(above_, identity) != above_.end())
      throw base::errno_error(ELOOP, "while copying ", base::printable(path));
    if (std::ranges::find(left_out_, identity) != left_out_.end()) return;
    if (identity == own_)
      throw base::error("while copying ", base::printable(path),
                        ": the image cannot be copied into itself");
    const base::UniqueFd made = make_copy_of_folder(status.st_mode, folder, name, path);
    above_.push_back(identity);
    const int flags = O_PATH | O_CLOEXEC | (source_.follows_links() ? 0 : O_NOFOLLOW);
    for (const std::string& child : sorted_names(from, path)) {
      const std::string child_path = path + "/" + child;
      const base::UniqueFd fd(::openat(from.get(), child.c_str(), flags));
      check(fd.get(), child_path);
      copy_entry(fd, made, child, child_path);
    }
    above_.pop_back();
    if (!source_.follows_links()) keep_metadata(from, status, folder, name, path);
  }

  static base::UniqueFd make_copy_of_folder(mode_t mode, const base::UniqueFd& folder,
                                            const std::string& name, const std::string& path) {
    if (name.empty()) return base::open_file_at(folder.get(), ".", O_PATH | O_DIRECTORY);
    if (::mkdirat(folder.get(), name.c_str(), mode & kFolderModes) != 0 && errno != EEXIST)
      check(-1, path);
    base::UniqueFd made(
        ::openat(folder.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (made) return made;
    throw base::error("while copying ", base::printable(path), ": ", base::printable(name),
                      " is a file in the image and cannot become a folder");
  }

  const Source& source_;
  RootFolder& target_;
  const std::function<void()>& pause_;
  std::vector<std::byte> buffer_;
  Identity own_;
  std::vector<Identity> left_out_;
  std::vector<Identity> above_;             // the folders that the current one lies in
  std::map<Identity, std::string> copies_;  // of what has several names
};

}  // namespace

void copy_files(const CopyJob& job, RootFolder& target, const std::function<void()>& pause) {
  const Source source(job.stage);
  Copier copier(source, target, job.left_out, pause);
  for (const FileCopy& copy : job.copies) {
    base::log_info("Copying ", base::printable(copy.source), " to ",
                   base::printable(copy.destination));
    const std::vector<std::string> paths = source.expand(copy.source);
    if (paths.empty())
      throw base::errno_error(ENOENT, "while copying ", base::printable(copy.source));
    for (const std::string& path : paths) {
      const std::string& wanted = copy.destination.empty() ? path : copy.destination;
      copier.copy(path, job.base + "/" + wanted, copy.source.ends_with('/'));
    }
  }
}

}  // namespace definition
