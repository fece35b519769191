// SPDX-License-Identifier: Apache-2.0
// Packs a directory of this machine into a squashfs with our writer: what mksquashfs does, so that
// both can be measured on the same tree. Prints one line of figures.
//   pack_directory DIRECTORY IMAGE CODEC LEVEL BLOCK_SIZE THREADS
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "sif/squashfs_writer.h"

namespace {

class FileSource : public sif::DataSource {
 public:
  explicit FileSource(std::string path) : path_(std::move(path)) {}
  void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    base::pread_exactly(base::open_file(path_, O_RDONLY).get(), out, offset, path_);
  }

 private:
  std::string path_;
};

sif::FileType type_of(mode_t mode) {
  static const std::map<mode_t, sif::FileType> kTypes = {
      {S_IFDIR, sif::FileType::directory},   {S_IFREG, sif::FileType::regular},
      {S_IFLNK, sif::FileType::symlink},     {S_IFBLK, sif::FileType::block_device},
      {S_IFCHR, sif::FileType::char_device}, {S_IFIFO, sif::FileType::fifo},
      {S_IFSOCK, sif::FileType::socket}};
  return kTypes.at(mode & S_IFMT);
}

void read_xattrs(const std::string& path, sif::Inode& inode) {
  std::string names(65536, '\0');
  const ssize_t size = ::llistxattr(path.c_str(), names.data(), names.size());
  for (ssize_t at = 0; at < size;) {
    const std::string name = names.c_str() + at;
    std::string value(65536, '\0');
    const ssize_t length = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    value.resize(static_cast<std::size_t>(std::max<ssize_t>(0, length)));
    inode.xattrs[name] = value;
    at += static_cast<ssize_t>(name.size()) + 1;
  }
}

class DirectoryTree {
 public:
  explicit DirectoryTree(const std::string& path) {
    describe(path, *base::find_status(path, false), tree.root());
    std::vector<std::pair<std::string, sif::Inode*>> pending = {{path, &tree.root()}};
    while (!pending.empty()) {
      const auto [directory, inode] = pending.back();
      pending.pop_back();
      for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        sif::Inode& child = add(entry.path());
        inode->children[entry.path().filename()] = &child;
        if (child.type == sif::FileType::directory) pending.emplace_back(entry.path(), &child);
      }
    }
  }
  sif::Tree tree;

 private:
  sif::Inode& add(const std::string& path) {
    const struct stat status = *base::find_status(path, false);
    sif::Inode*& known = by_number_[{status.st_dev, status.st_ino}];
    if (known == nullptr || S_ISDIR(status.st_mode)) {
      known = &tree.make(type_of(status.st_mode), 0);
      describe(path, status, *known);
    }
    return *known;
  }

  void describe(const std::string& path, const struct stat& status, sif::Inode& inode) {
    inode.mode = status.st_mode & 07777;
    inode.uid = status.st_uid;
    inode.gid = status.st_gid;
    inode.mtime = status.st_mtime;
    inode.device_major = major(status.st_rdev);
    inode.device_minor = minor(status.st_rdev);
    if (S_ISLNK(status.st_mode)) inode.symlink_target = *base::find_link_target(path);
    if (S_ISREG(status.st_mode) && status.st_size > 0) {
      inode.size = static_cast<std::uint64_t>(status.st_size);
      inode.extents = {{0, 0, inode.size}};
      inode.source = sources_.emplace_back(std::make_unique<FileSource>(path)).get();
    }
    read_xattrs(path, inode);
  }

  std::map<std::pair<dev_t, ino_t>, sif::Inode*> by_number_;
  std::vector<std::unique_ptr<FileSource>> sources_;
};

sif::Codec codec_named(const std::string& name) {
  for (const sif::Codec codec :
       {sif::Codec::gzip, sif::Codec::xz, sif::Codec::lz4, sif::Codec::zstd})
    if (name == sif::codec_name(codec)) return codec;
  throw base::error("unknown codec ", name);
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

void pack(const std::vector<std::string>& arguments) {
  if (arguments.size() != 7)
    throw base::error("usage: pack_directory DIRECTORY IMAGE CODEC LEVEL BLOCK_SIZE THREADS");
  const DirectoryTree directory(arguments[1]);
  const base::UniqueFd fd = base::open_file(arguments[2], O_RDWR | O_CREAT | O_TRUNC, 0644);
  const sif::SquashfsOptions options{
      .codec = codec_named(arguments[3]),
      .level = std::stoi(arguments[4]),
      .block_size = static_cast<std::uint32_t>(std::stoul(arguments[5])),
      .threads = static_cast<unsigned>(std::stoul(arguments[6]))};
  sif::WriteProgress progress;
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  const auto start = std::chrono::steady_clock::now();
  const sif::SquashfsStats stats =
      sif::write_squashfs(directory.tree, fd.get(), 0, options, progress);
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  ::getrusage(RUSAGE_SELF, &after);
  std::cout << "image " << stats.image_bytes << " input " << stats.input_bytes << " duplicate "
            << stats.duplicate_bytes << " inodes " << stats.inodes << " wall " << wall.count()
            << " user " << seconds(after.ru_utime) - seconds(before.ru_utime) << " system "
            << seconds(after.ru_stime) - seconds(before.ru_stime) << " rss_kib " << after.ru_maxrss
            << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  try {
    pack({argv, argv + argc});
    return 0;
  } catch (const base::Error& error) {
    base::log_fatal(error);
    return 1;
  }
}
