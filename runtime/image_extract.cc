// SPDX-License-Identifier: Apache-2.0
#include "runtime/image_extract.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/syscalls.h"
#include "runtime/user_cache.h"

namespace runtime {
namespace {

using sif::FileType;
using sif::InodeAttributes;
using sif::InodeRef;
using sif::SquashfsReader;

constexpr std::size_t kCopyBytes = 1 << 20;
constexpr std::size_t kMaxDepth = 4096;  // of directories; each level costs a descriptor

// Walks with one descriptor for each level of the current path.
class Extraction {
 public:
  Extraction(const SquashfsReader& reader, int root_fd)
      : reader_(reader), root_fd_(root_fd), buffer_(kCopyBytes) {}

  void run() {
    const mode_t root_mode = (reader_.attributes(reader_.root()).mode & 0777) | 0700;
    enter(reader_.root(), base::UniqueFd(::fcntl(root_fd_, F_DUPFD_CLOEXEC, 0)), root_mode, "");
    while (!levels_.empty()) {
      Level& level = levels_.back();
      if (level.next == level.entries.size()) {
        leave();
        continue;
      }
      const Entry entry = level.entries[level.next++];
      make(level, entry);
    }
  }

 private:
  struct Entry {
    std::string name;
    InodeRef ref;
  };
  struct Level {
    base::UniqueFd fd;
    mode_t mode;
    std::uint32_t mtime;
    std::string path;  // from the root, with a slash at its end
    std::vector<Entry> entries;
    std::size_t next = 0;
  };

  void enter(InodeRef ref, base::UniqueFd fd, mode_t mode, const std::string& path) {
    if (!fd) throw base::errno_error(errno, "cannot open a folder of the image's copy");
    // Each directory has one parent; more than one visit means a loop or a corrupt image.
    if (!seen_directories_.insert(ref).second || levels_.size() >= kMaxDepth)
      throw base::Error(base::cat("corrupt squashfs: directory loop at ", base::printable(path)),
                        EIO);
    Level level{std::move(fd), mode, reader_.attributes(ref).mtime, path, {}};
    reader_.list(ref, 0, [&](const SquashfsReader::Entry& entry) {
      level.entries.push_back({std::string(entry.name), entry.ref});
      return true;
    });
    levels_.push_back(std::move(level));
  }

  void leave() {
    const Level& level = levels_.back();
    // Only now: a read-only folder cannot be filled.
    ::fchmod(level.fd.get(), level.mode);
    const std::array<timespec, 2> times = {timespec{level.mtime, 0}, timespec{level.mtime, 0}};
    ::futimens(level.fd.get(), times.data());
    levels_.pop_back();
  }

  void make(const Level& level, const Entry& entry) {
    const InodeAttributes inode = reader_.attributes(entry.ref);
    const std::string path = level.path + entry.name;
    if (inode.type == FileType::directory) {
      check(::mkdirat(level.fd.get(), entry.name.c_str(), 0700), path);
      base::UniqueFd fd(::openat(level.fd.get(), entry.name.c_str(),
                                 O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      enter(entry.ref, std::move(fd), (inode.mode & 0777) | 0700, path + "/");
      return;
    }
    if (inode.link_count > 1 && link_to_first(level, entry, path)) return;
    if (inode.type == FileType::symlink) {
      const std::string target = reader_.symlink_target(entry.ref);
      check(::symlinkat(target.c_str(), level.fd.get(), entry.name.c_str()), path);
      return;
    }
    base::UniqueFd file(::openat(level.fd.get(), entry.name.c_str(),
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    check(file.get(), path);
    // Devices, FIFOs and sockets stay empty files: an ordinary user can make no device.
    if (inode.type == FileType::regular) copy_content(inode, file.get(), path);
    check(::fchmod(file.get(), (inode.mode & 0777) | 0400), path);
    const std::array<timespec, 2> times = {timespec{inode.mtime, 0}, timespec{inode.mtime, 0}};
    ::futimens(file.get(), times.data());
  }

  // True when another name of the inode exists and this name now is a link to it.
  bool link_to_first(const Level& level, const Entry& entry, const std::string& path) {
    const auto [first, is_new] = first_paths_.emplace(entry.ref, path);
    if (is_new) return false;
    if (::linkat(root_fd_, first->second.c_str(), level.fd.get(), entry.name.c_str(), 0) == 0)
      return true;
    // File systems without hard links, or at their limit: a copy serves as well.
    if (errno == EPERM || errno == EMLINK || errno == EOPNOTSUPP || errno == ENAMETOOLONG)
      return false;
    throw base::errno_error(errno, "cannot link ", base::printable(path));
  }

  void copy_content(const InodeAttributes& inode, int fd, const std::string& path) {
    for (std::uint64_t offset = 0; offset < inode.size;) {
      const std::size_t count = reader_.read_file(inode.ref, offset, buffer_);
      const std::span<const std::byte> data(buffer_.data(), count);
      const bool is_hole = std::all_of(data.begin(), data.end(),
                                       [](std::byte byte) { return byte == std::byte{0}; });
      if (!is_hole) base::pwrite_all(fd, data, offset, path);
      offset += count;
    }
    check(::ftruncate(fd, static_cast<off_t>(inode.size)), path);
  }

  static void check(int result, const std::string& path) {
    if (result >= 0) return;
    throw base::errno_error(errno, "cannot extract ", base::printable(path));
  }

  const SquashfsReader& reader_;
  int root_fd_;
  std::vector<std::byte> buffer_;
  std::vector<Level> levels_;
  std::set<InodeRef> seen_directories_;
  std::map<InodeRef, std::string> first_paths_;  // of inodes with several names
};

// What tells this image from any other: the file's identity and all its metadata, which holds every
// block's size. The device number is left out: it differs between the nodes that share a home.
std::string image_key(const sif::ImageFile& image) {
  constexpr std::uint64_t kMaxHashed = 4 << 20;  // superblock, and the tables at the end
  const struct stat status = base::file_status(image.fd.get(), image.path);
  std::vector<std::byte> bytes(std::min(image.size, kMaxHashed));
  base::pread_exactly(image.fd.get(), bytes, image.offset + image.size - bytes.size(), image.path);
  const std::string identity =
      base::cat(status.st_ino, ' ', status.st_size, ' ', status.st_mtim.tv_sec, ' ',
                status.st_mtim.tv_nsec, ' ', image.offset, ' ', image.size);
  base::Sha256 hash;
  hash.update(identity);
  hash.update(bytes);
  return hash.digest().substr(std::string_view("sha256:").size());
}

void remove_leftovers(const std::string& folder, const std::string& prefix) {
  std::error_code ignored;
  for (const std::string& name : base::readable_names(folder))
    if (name.starts_with(prefix))
      std::filesystem::remove_all(base::cat(folder, "/", name), ignored);
}

}  // namespace

void extract_tree(const sif::SquashfsReader& reader, int dir_fd) {
  Extraction(reader, dir_fd).run();
}

std::string open_extracted_image(const sif::ImageFile& image, const std::string& cache_folder) {
  const base::UniqueFd cache = open_private_folder(cache_folder);
  const std::string key = image_key(image);
  const std::string tree = cache_folder + "/" + key;
  if (base::find_status(tree)) return tree;

  const base::UniqueFd lock =
      base::open_file(cache_folder + "/" + key + ".lock", O_RDWR | O_CREAT, 0600);
  // Some network file systems have no locks; then two starts may both extract, and one wins.
  const bool is_locked = ::flock(lock.get(), LOCK_EX) == 0;
  if (base::find_status(tree)) return tree;
  if (is_locked) remove_leftovers(cache_folder, key + ".part");

  base::log_info("Extracting the image once to ", base::printable(tree));
  const sif::SquashfsReader reader(image.fd.get(), image.offset, image.size, image.path);
  std::string part = tree + ".partXXXXXX";
  if (::mkdtemp(part.data()) == nullptr)
    throw base::errno_error(errno, "cannot make a folder in ", base::printable(cache_folder));
  try {
    const base::UniqueFd fd = base::open_file(part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    extract_tree(reader, fd.get());
    // The name says that all is there, were it after a crash.
    if (::syncfs(fd.get()) != 0)
      throw base::errno_error(errno, "cannot write ", base::printable(part));
    if (::rename(part.c_str(), tree.c_str()) != 0 && !base::find_status(tree))
      throw base::errno_error(errno, "cannot rename ", base::printable(part));
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove_all(part, ignored);
    throw;
  }
  std::error_code ignored;
  std::filesystem::remove_all(part, ignored);  // still there only if another start was faster
  ::unlink((tree + ".lock").c_str());
  return tree;
}

}  // namespace runtime
