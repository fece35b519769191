// SPDX-License-Identifier: Apache-2.0
// Extended attributes, which lie behind an inode and in one block more.
#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "ext/library.h"
#include "ext/operation.h"

namespace ext {
namespace {

struct CloseXattrs {
  void operator()(ext2_xattr_handle* handle) const { ext2fs_xattrs_close(&handle); }
};
using Xattrs = std::unique_ptr<ext2_xattr_handle, CloseXattrs>;

Xattrs open_xattrs(FileSystem::Library& library, InodeNumber number) {
  library.read_inode(number);
  ext2_xattr_handle* handle = nullptr;
  check(ext2fs_xattrs_open(library.fs, number, &handle), library.name(),
        ": cannot open the attributes of inode ", number);
  Xattrs opened(handle);
  check(ext2fs_xattrs_read(handle), library.name(), ": cannot read the attributes of inode ",
        number);
  return opened;
}

// What the kernel's ext3 takes: libext2fs would store others in a way that others take for damage.
void check_xattr_name(std::string_view name) {
  constexpr std::array<std::string_view, 3> kPrefixes = {"user.", "security.", "trusted."};
  constexpr std::array<std::string_view, 2> kWhole = {"system.posix_acl_access",
                                                      "system.posix_acl_default"};
  if (std::ranges::count(kWhole, name) > 0) return;
  const auto* prefix = std::ranges::find_if(
      kPrefixes, [&](std::string_view each) { return name.starts_with(each); });
  if (prefix == kPrefixes.end()) throw base::Error("no such kind of attribute", EOPNOTSUPP);
  if (name.size() == prefix->size()) throw base::Error("an attribute without a name", EINVAL);
}

}  // namespace

std::vector<std::string> FileSystem::xattr_names(InodeNumber inode) {
  const Xattrs xattrs = open_xattrs(*library_, inode);
  std::vector<std::string> names;
  check(ext2fs_xattrs_iterate(
            xattrs.get(),
            [](char* name, char*, size_t, void* into) {
              static_cast<std::vector<std::string>*>(into)->emplace_back(name);
              return 0;
            },
            &names),
        library_->name(), ": cannot list the attributes of inode ", inode);
  return names;
}

std::optional<std::string> FileSystem::find_xattr(InodeNumber inode, const std::string& name) {
  const Xattrs xattrs = open_xattrs(*library_, inode);
  void* value = nullptr;
  std::size_t size = 0;
  const errcode_t code = ext2fs_xattr_get(xattrs.get(), name.c_str(), &value, &size);
  if (code == EXT2_ET_EA_KEY_NOT_FOUND) return std::nullopt;
  check(code, library_->name(), ": cannot read an attribute of inode ", inode);
  std::string out(static_cast<const char*>(value), size);
  ext2fs_free_mem(&value);
  return out;
}

void FileSystem::set_xattr(InodeNumber inode, const std::string& name, std::string_view value) {
  check_xattr_name(name);
  Operation operation(*library_);
  const Xattrs xattrs = open_xattrs(*library_, inode);
  check(ext2fs_xattr_set(xattrs.get(), name.c_str(), value.data(), value.size()), library_->name(),
        ": cannot set an attribute of inode ", inode);
  library_->mark_changed(inode);
  operation.finish();
}

void FileSystem::remove_xattr(InodeNumber inode, const std::string& name) {
  Operation operation(*library_);
  if (!find_xattr(inode, name)) throw base::Error("no such attribute", ENODATA);
  const Xattrs xattrs = open_xattrs(*library_, inode);
  check(ext2fs_xattr_remove(xattrs.get(), name.c_str()), library_->name(),
        ": cannot remove an attribute of inode ", inode);
  library_->mark_changed(inode);
  operation.finish();
}

}  // namespace ext
