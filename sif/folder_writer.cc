// SPDX-License-Identifier: Apache-2.0
#include "sif/folder_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/unique_fd.h"
#include "sif/file_content.h"

namespace sif {
namespace {

constexpr std::size_t kChunk = 1 << 20;

bool is_root() { return ::geteuid() == 0; }

// Walks with one descriptor for each level of the current path.
class FolderWriter {
 public:
  FolderWriter(int root_fd, const FolderOptions& options, WriteProgress& progress)
      : root_fd_(root_fd), options_(options), progress_(progress), buffer_(kChunk) {}

  void run(const Inode& root) {
    enter(root, base::UniqueFd(::fcntl(root_fd_, F_DUPFD_CLOEXEC, 0)), "");
    while (!levels_.empty()) {
      Level& level = levels_.back();
      if (level.next == level.inode->children.end()) {
        leave();
        continue;
      }
      const auto& [name, child] = *level.next++;
      make(level.fd.get(), name, *child, level.path + name);
    }
  }

 private:
  using Children = decltype(Inode::children);
  struct Level {
    const Inode* inode;
    base::UniqueFd fd;
    std::string path;  // from the root, with a slash at its end
    Children::const_iterator next;
  };

  void enter(const Inode& inode, base::UniqueFd fd, std::string path) {
    check(fd.get(), path);
    levels_.push_back({&inode, std::move(fd), std::move(path), inode.children.begin()});
  }

  // Only now: a read-only folder cannot be filled, and filling changes its time.
  void leave() {
    const Level& level = levels_.back();
    describe(level.fd.get(), *level.inode, level.path);
    levels_.pop_back();
  }

  void make(int parent, const std::string& name, const Inode& inode, const std::string& path) {
    if (progress_.cancelled) throw base::error("cancelled");
    if (inode.type == FileType::directory) {
      check(::mkdirat(parent, name.c_str(), 0700), path);
      enter(inode,
            base::UniqueFd(
                ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)),
            path + "/");
      return;
    }
    const auto [first, is_new] = first_paths_.emplace(&inode, path);
    if (!is_new) {
      if (::linkat(root_fd_, first->second.c_str(), parent, name.c_str(), 0) == 0) return;
      // File systems without hard links, a limit of theirs or of a path, a folder that is closed to
      // an ordinary user by now: a copy serves as well.
      constexpr std::array kCopied = {EPERM, EMLINK, EOPNOTSUPP, ENAMETOOLONG, EACCES};
      if (std::ranges::find(kCopied, errno) == kCopied.end()) check(-1, path);
    }
    if (inode.type == FileType::symlink) return make_link(parent, name, inode, path);
    if (inode.type != FileType::regular && make_special(parent, name, inode, path)) return;
    const base::UniqueFd file(
        ::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    check(file.get(), path);
    copy_content(inode, file.get(), path);
    describe(file.get(), inode, path);
  }

  void make_link(int parent, const std::string& name, const Inode& inode, const std::string& path) {
    check(::symlinkat(inode.symlink_target.c_str(), parent, name.c_str()), path);
    describe_name(parent, name, inode, path);
  }

  // Of what is not opened.
  void describe_name(int parent, const std::string& name, const Inode& inode,
                     const std::string& path) const {
    if (is_root())
      check_owner(::fchownat(parent, name.c_str(), inode.uid, inode.gid, AT_SYMLINK_NOFOLLOW),
                  path);
    const std::string place = base::cat("/proc/self/fd/", parent, "/", name);
    for (const auto& [key, value] : inode.xattrs)
      check_xattr(::lsetxattr(place.c_str(), key.c_str(), value.data(), value.size(), 0), path);
    if (inode.type != FileType::symlink)
      check(::fchmodat(parent, name.c_str(), inode.mode, 0), path);
    const std::array<timespec, 2> times = times_of(inode);
    ::utimensat(parent, name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW);
  }

  // False where an ordinary user can make none.
  bool make_special(int parent, const std::string& name, const Inode& inode,
                    const std::string& path) const {
    const mode_t type = inode.type == FileType::fifo           ? S_IFIFO
                        : inode.type == FileType::socket       ? S_IFSOCK
                        : inode.type == FileType::block_device ? S_IFBLK
                                                               : S_IFCHR;
    const bool is_device = type == S_IFBLK || type == S_IFCHR;
    const dev_t device = is_device ? ::makedev(inode.device_major, inode.device_minor) : dev_t{0};
    if (::mknodat(parent, name.c_str(), type | 0600, device) != 0) {
      if (errno == EPERM) return false;
      check(-1, path);
    }
    describe_name(parent, name, inode, path);
    return true;
  }

  static std::array<timespec, 2> times_of(const Inode& inode) {
    return {timespec{inode.mtime, 0}, timespec{inode.mtime, 0}};
  }

  // The owner first: changing it takes setuid bits and capabilities away.
  void describe(int fd, const Inode& inode, const std::string& path) const {
    if (is_root()) check_owner(::fchown(fd, inode.uid, inode.gid), path);
    for (const auto& [name, value] : inode.xattrs)
      check_xattr(::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0), path);
    const mode_t added =
        inode.type == FileType::directory ? options_.of_folders : options_.of_files;
    check(::fchmod(fd, inode.mode | added), path);
    const std::array<timespec, 2> times = times_of(inode);
    ::futimens(fd, times.data());
  }

  void copy_content(const Inode& inode, int fd, const std::string& path) {
    for (const DataExtent& extent : inode.extents) {
      for (std::uint64_t done = 0; done < extent.length;) {
        const auto piece =
            std::span(buffer_).first(std::min<std::uint64_t>(kChunk, extent.length - done));
        inode.source->read_at(extent.source_offset + done, piece);
        if (!all_zeros(piece)) base::pwrite_all(fd, piece, extent.file_offset + done, path);
        done += piece.size();
        progress_.bytes_done += piece.size();
        if (progress_.cancelled) throw base::error("cancelled");
      }
    }
    check(::ftruncate(fd, static_cast<off_t>(inode.size)), path);
  }

  // Not every file system has them, and not everyone may set all.
  static void check_xattr(int result, const std::string& path) {
    if (result != 0 && errno != ENOTSUP && errno != EPERM) check(result, path);
  }

  // A user namespace may lack the id: the file stays its root's.
  static void check_owner(int result, const std::string& path) {
    if (result != 0 && errno != EINVAL) check(result, path);
  }

  static void check(int result, const std::string& path) {
    if (result < 0) throw base::errno_error(errno, "cannot write /", base::printable(path));
  }

  int root_fd_;
  FolderOptions options_;
  WriteProgress& progress_;
  std::vector<std::byte> buffer_;
  std::vector<Level> levels_;
  std::unordered_map<const Inode*, std::string> first_paths_;
};

}  // namespace

void write_folder(const Tree& tree, int dir_fd, const FolderOptions& options,
                  WriteProgress& progress) {
  FolderWriter(dir_fd, options, progress).run(tree.root());
}

}  // namespace sif
