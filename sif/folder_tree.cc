// SPDX-License-Identifier: Apache-2.0
#include "sif/folder_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "sif/squashfs_format.h"

namespace sif {
namespace {

constexpr std::size_t kXattrMax = 65536;  // Linux XATTR_SIZE_MAX and XATTR_LIST_MAX

// Holes may be much larger than the disk: what says that it has some is asked where.
std::vector<DataExtent> extents_of(const std::string& path, const struct stat& status) {
  const auto size = static_cast<std::uint64_t>(status.st_size);
  constexpr std::int64_t kSector = 512;
  const base::UniqueFd file(status.st_blocks * kSector < status.st_size
                                ? ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
                                : -1);
  if (!file) return {{0, 0, size}};
  std::vector<DataExtent> extents;
  for (off_t end = 0;;) {
    const off_t begin = ::lseek(file.get(), end, SEEK_DATA);
    if (begin < 0 && errno == ENXIO) return extents;  // a hole up to the end
    end = begin < 0 ? begin : ::lseek(file.get(), begin, SEEK_HOLE);
    if (end < 0) return {{0, 0, size}};  // not every file system can tell
    const auto from = static_cast<std::uint64_t>(begin), to = static_cast<std::uint64_t>(end);
    if (from < size) extents.push_back({from, from, std::min(to, size) - from});
    if (to >= size) return extents;
  }
}

struct TypeRow {
  mode_t bits;
  FileType type;
};
constexpr std::array<TypeRow, 7> kTypes = {{{S_IFDIR, FileType::directory},
                                            {S_IFREG, FileType::regular},
                                            {S_IFLNK, FileType::symlink},
                                            {S_IFBLK, FileType::block_device},
                                            {S_IFCHR, FileType::char_device},
                                            {S_IFIFO, FileType::fifo},
                                            {S_IFSOCK, FileType::socket}}};

void read_xattrs(const std::string& path, Inode& inode) {
  if (::llistxattr(path.c_str(), nullptr, 0) == 0) return;
  std::vector<char> names(kXattrMax), value(kXattrMax);
  const ssize_t size = ::llistxattr(path.c_str(), names.data(), names.size());
  if (size < 0 && errno != ENOTSUP)
    throw base::errno_error(errno, "cannot list the attributes of ", base::printable(path));
  for (ssize_t at = 0; at < size;) {
    const std::string name = names.data() + at;
    at += static_cast<ssize_t>(name.size()) + 1;
    if (!is_kept_xattr(name)) continue;
    const ssize_t length = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    if (length < 0)
      throw base::errno_error(errno, "cannot read the attribute ", base::printable(name), " of ",
                              base::printable(path));
    inode.xattrs[name].assign(value.data(), static_cast<std::size_t>(length));
  }
}

}  // namespace

std::optional<FileType> find_file_type(mode_t mode) {
  const auto* row = std::ranges::find(kTypes, mode & S_IFMT, &TypeRow::bits);
  return row == kTypes.end() ? std::nullopt : std::optional(row->type);
}

bool is_kept_xattr(std::string_view name) {
  return name != "security.selinux" &&
         std::ranges::any_of(kXattrPrefixes,
                             [&](std::string_view prefix) { return name.starts_with(prefix); });
}

void FolderTree::PathSource::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  base::pread_exactly(base::open_file(path_, O_RDONLY | O_NOFOLLOW).get(), out, offset, path_);
}

FolderTree::FolderTree(const std::string& path) {
  const std::optional<struct stat> status = base::find_status(path);
  if (!status) throw base::errno_error(ENOENT, "cannot read ", base::printable(path));
  describe(path, *status, tree.root());
  std::vector<std::pair<std::string, Inode*>> pending = {{path, &tree.root()}};
  while (!pending.empty()) {
    const auto [folder, inode] = std::move(pending.back());
    pending.pop_back();
    fill(folder, *inode);
    for (const auto& [name, child] : inode->children) {
      if (child->type == FileType::directory) pending.emplace_back(folder + "/" + name, child);
    }
  }
}

void FolderTree::fill(const std::string& path, Inode& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(path.c_str()), &::closedir);
  if (!listing) throw base::errno_error(errno, "cannot read the folder ", base::printable(path));
  errno = 0;
  while (const dirent* entry = ::readdir(listing.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") {
      const std::string child = path + "/" + name;
      if (const auto status = base::find_status(child, false))
        directory.children[name] = &add(child, *status);
    }
    errno = 0;
  }
  if (errno != 0) throw base::errno_error(errno, "cannot read the folder ", base::printable(path));
}

Inode& FolderTree::add(const std::string& path, const struct stat& status) {
  Inode* fresh = nullptr;
  const bool may_have_names = !S_ISDIR(status.st_mode) && status.st_nlink > 1;
  Inode*& place = may_have_names ? by_number_[{status.st_dev, status.st_ino}] : fresh;
  if (place == nullptr) {
    place = &tree.make(FileType::regular, 0);
    describe(path, status, *place);
  }
  return *place;
}

void FolderTree::describe(const std::string& path, const struct stat& status, Inode& inode) {
  const std::optional<FileType> type = find_file_type(status.st_mode);
  if (!type) throw base::error(base::printable(path), " is of an unknown type");
  inode.type = *type;
  inode.mode = static_cast<std::uint16_t>(status.st_mode & 07777);
  inode.uid = status.st_uid;
  inode.gid = status.st_gid;
  inode.mtime = status.st_mtime;
  if (S_ISBLK(status.st_mode) || S_ISCHR(status.st_mode)) {
    inode.device_major = major(status.st_rdev);
    inode.device_minor = minor(status.st_rdev);
  }
  if (S_ISLNK(status.st_mode)) inode.symlink_target = base::find_link_target(path).value_or("");
  if (S_ISREG(status.st_mode) && status.st_size > 0) {
    inode.size = static_cast<std::uint64_t>(status.st_size);
    inode.extents = extents_of(path, status);
    inode.source = &sources_.emplace_back(path);
  }
  read_xattrs(path, inode);
}

}  // namespace sif
