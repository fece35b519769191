// SPDX-License-Identifier: Apache-2.0
// An ext file system of arbitrary bytes: its journal is replayed, everything is walked and read,
// then changed. Ends in values or in base::Error with an errno.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "ext/file_system.h"

namespace {

constexpr std::size_t kMaxDirectories = 32;
constexpr int kMaxEntries = 256;

template <typename Access>
void attempt(Access access) {
  try {
    access();
  } catch (const base::Error& error) {
    if (error.errno_value() == 0 && error.hint().empty()) __builtin_trap();
  }
}

void visit(ext::FileSystem& fs, ext::InodeNumber inode,
           std::vector<ext::InodeNumber>& directories) {
  const ext::Attributes found = fs.attributes(inode);
  if (S_ISDIR(found.mode)) directories.push_back(inode);
  if (S_ISLNK(found.mode)) attempt([&] { fs.symlink_target(inode); });
  std::array<std::byte, 8192> buffer{};
  if (S_ISREG(found.mode)) {
    for (const std::uint64_t offset : {std::uint64_t{0}, found.size / 2, found.size - 1})
      attempt([&] { fs.read(inode, offset, buffer); });
  }
  attempt([&] {
    for (const std::string& name : fs.xattr_names(inode)) fs.find_xattr(inode, name);
  });
}

std::vector<ext::InodeNumber> walk(ext::FileSystem& fs) {
  std::vector<ext::InodeNumber> directories = {ext::kRootInode};
  int entries = 0;
  for (std::size_t i = 0; i < directories.size() && i < kMaxDirectories; ++i) {
    attempt([&] {
      fs.list(directories[i], 0, [&](const ext::FileSystem::Entry& entry) {
        if (entry.name != "." && entry.name != "..")
          attempt([&] { visit(fs, entry.inode, directories); });
        return ++entries < kMaxEntries;
      });
    });
  }
  return directories;
}

void change(ext::FileSystem& fs, ext::InodeNumber directory) {
  const ext::NewInode file{S_IFREG | 0644, 1, 2, 0}, folder{S_IFDIR | 0755, 1, 2, 0};
  const std::array<std::byte, 5000> data{};
  attempt([&] { fs.make(directory, "folder", folder); });
  attempt([&] { fs.write(fs.make(directory, "file", file), 3000, data); });
  attempt([&] {
    fs.rename(directory, "file", ext::kRootInode, "moved", ext::Rename::leave_whiteout, file);
  });
  std::vector<std::pair<std::string, ext::InodeNumber>> names;
  attempt([&] {
    fs.list(directory, 0, [&](const ext::FileSystem::Entry& entry) {
      names.emplace_back(entry.name, entry.inode);
      return names.size() < 16;
    });
  });
  for (const auto& [name, inode] : names) {
    attempt([&, inode = inode] { fs.set_xattr(inode, "user.x", std::string(300, 'x')); });
    attempt([&, inode = inode] { fs.write(inode, 100'000, data); });
    attempt([&, inode = inode] {
      ext::AttributeChanges changes;
      changes.size = 10;
      fs.change(inode, changes);
    });
    attempt([&, &name = name] { fs.drop(fs.unlink(directory, name)); });
    attempt([&, &name = name] { fs.drop(fs.remove_directory(directory, name)); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int fd = ::memfd_create("image", MFD_CLOEXEC);
  for (const ext::Access access : {ext::Access::read_only, ext::Access::read_write}) {
    if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, data, size, 0) != static_cast<ssize_t>(size))
      return 0;
    attempt([&] {
      ext::FileSystem fs(ext::Partition(fd, 0, size, "image"), access);
      const std::vector<ext::InodeNumber> directories = walk(fs);
      if (access == ext::Access::read_only) return;
      for (std::size_t i = 0; i < directories.size() && i < 8; ++i) change(fs, directories[i]);
      fs.commit();
      fs.close();
    });
  }
  return 0;
}
