// SPDX-License-Identifier: Apache-2.0
// Names: entries of directories, and the operations that make, move and remove them.
#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ext/entry_types.h"
#include "ext/library.h"
#include "ext/operation.h"

namespace ext {
namespace {

constexpr std::size_t kMaxTargetBytes = 4096;  // PATH_MAX, which the kernel hands out
void check_name(std::string_view name) {
  if (name.empty() || name == "." || name == "..")
    throw base::Error("no name for an entry", EINVAL);
  if (name.size() > EXT2_NAME_LEN) throw base::Error("the name is too long", ENAMETOOLONG);
}

}  // namespace

InodeNumber FileSystem::Library::free_inode(InodeNumber parent, mode_t mode) {
  ext2_ino_t number = 0;
  check(ext2fs_new_inode(fs, parent, static_cast<int>(mode), nullptr, &number), name(),
        ": cannot make an inode");
  return number;
}

void FileSystem::Library::write_new_inode(InodeNumber number, ext2_inode_large& inode) {
  if (ext2fs_has_feature_extents(fs->super) && S_ISREG(inode.i_mode)) {
    ext2_extent_handle_t handle = nullptr;
    check(ext2fs_extent_open2(fs, number, generic(inode), &handle), name(), ": cannot make inode ",
          number);
    ext2fs_extent_free(handle);
  }
  // Clears what an earlier inode has left behind the known part.
  check(ext2fs_write_new_inode(fs, number, generic(inode)), name(), ": cannot write inode ",
        number);
  write_inode(number, inode);
  count_inode(number, 1, false);
}

std::uint8_t FileSystem::Library::entry_type(InodeNumber number) {
  try {
    return static_cast<std::uint8_t>((read_inode(number).i_mode & S_IFMT) >> 12);
  } catch (const base::Error&) {
    return DT_UNKNOWN;  // its siblings are to be seen
  }
}

std::optional<InodeNumber> FileSystem::find_entry(InodeNumber directory, std::string_view name) {
  return library_->find(directory, name);
}

void FileSystem::list(InodeNumber directory, std::uint64_t cookie,
                      const std::function<bool(const Entry&)>& take) {
  library_->for_each_entry(directory, cookie, [&](const Library::Place& place) {
    const std::string_view name = place.entry_name();
    // The kernel would refuse the whole listing.
    if (name.find('/') != name.npos || name.find('\0') != name.npos) return true;
    const InodeNumber number = place.entry()->inode;
    const auto told = static_cast<std::size_t>(ext2fs_dirent_file_type(place.entry()));
    std::uint8_t type = kEntryTypes[told % kEntryTypes.size()];
    // Without the feature filetype only the inode tells, and overlays want to know.
    if (type == DT_UNKNOWN) type = library_->entry_type(number);
    return take({name, number, type, place.cookie() + place.length});
  });
}

InodeNumber FileSystem::make(InodeNumber directory, std::string_view name, const NewInode& wanted) {
  Library& library = *library_;
  Operation operation(library);
  check_name(name);
  if (library.find(directory, name)) throw base::Error("the name exists", EEXIST);
  const ext2_inode_large parent = library.read_inode(directory);
  const InodeNumber number = library.free_inode(directory, wanted.mode);
  if (S_ISDIR(wanted.mode)) {
    library.require_room_for_link(parent);
    check(ext2fs_mkdir(library.fs, directory, number, nullptr), library.name(),
          ": cannot make a directory");
    library.note_inode(number, 1, true);
    library.add_entry(directory, name, number, wanted.mode);
    ext2_inode_large inode = library.read_inode(number);
    library.describe(inode, wanted, &parent);
    library.write_inode(number, inode);
    // libext2fs has counted it, whatever the count means.
    library.set_links(directory, parent.i_links_count);
    library.change_links(directory, 1);
  } else {
    library.add_entry(directory, name, number, wanted.mode);
    ext2_inode_large inode = library.blank_inode(wanted, &parent);
    inode.i_links_count = 1;
    library.write_new_inode(number, inode);
  }
  library.touch(directory);
  operation.finish();
  return number;
}

InodeNumber FileSystem::make_symlink(InodeNumber directory, std::string_view name,
                                     std::string_view target, const NewInode& wanted) {
  Library& library = *library_;
  Operation operation(library);
  check_name(name);
  if (library.find(directory, name)) throw base::Error("the name exists", EEXIST);
  const ext2_inode_large parent = library.read_inode(directory);
  if (target.size() >= library.fs->blocksize)
    throw base::Error("a symbolic link cannot lead that far", ENAMETOOLONG);
  const InodeNumber number = library.free_inode(directory, S_IFLNK);
  check(ext2fs_symlink(library.fs, directory, number, nullptr, std::string(target).c_str()),
        library.name(), ": cannot make a symbolic link");
  library.note_inode(number, 1, false);
  library.add_entry(directory, name, number, S_IFLNK);
  ext2_inode_large inode = library.read_inode(number);
  NewInode described = wanted;
  described.mode = S_IFLNK | 0777;
  library.describe(inode, described, &parent);
  library.write_inode(number, inode);
  library.touch(directory);
  operation.finish();
  return number;
}

InodeNumber FileSystem::make_unnamed(const NewInode& wanted) {
  Library& library = *library_;
  Operation operation(library);
  const InodeNumber number = library.free_inode(kRootInode, wanted.mode);
  ext2_inode_large inode = library.blank_inode(wanted, nullptr);
  library.write_new_inode(number, inode);
  library.add_orphan(number);
  operation.finish();
  return number;
}

void FileSystem::link(InodeNumber number, InodeNumber directory, std::string_view name) {
  Library& library = *library_;
  Operation operation(library);
  check_name(name);
  const ext2_inode_large inode = library.read_inode(number);
  if (S_ISDIR(inode.i_mode)) throw base::Error("a directory has one name", EPERM);
  library.require_room_for_link(inode);
  if (library.find(directory, name)) throw base::Error("the name exists", EEXIST);
  library.add_entry(directory, name, number, inode.i_mode);
  library.change_links(number, 1);
  if (inode.i_links_count == 0) library.remove_orphan(number);
  library.touch(directory);
  operation.finish();
}

void FileSystem::Library::lose_name(InodeNumber number, InodeNumber directory) {
  const ext2_inode_large inode = read_inode(number);
  if (S_ISDIR(inode.i_mode)) {
    change_links(directory, -1);
  } else if (inode.i_links_count > 1) {
    return change_links(number, -1);
  }
  set_links(number, 0);
  add_orphan(number);
}

InodeNumber FileSystem::unlink(InodeNumber directory, std::string_view name) {
  Library& library = *library_;
  Operation operation(library);
  const InodeNumber number = library.get(directory, name);
  if (S_ISDIR(library.read_inode(number).i_mode)) throw base::Error("a directory", EISDIR);
  library.remove_entry(directory, name);
  library.touch(directory);
  library.lose_name(number, directory);
  operation.finish();
  return number;
}

InodeNumber FileSystem::remove_directory(InodeNumber directory, std::string_view name) {
  Library& library = *library_;
  Operation operation(library);
  check_name(name);
  const InodeNumber number = library.get(directory, name);
  if (!library.is_empty_directory(number)) throw base::Error("not empty", ENOTEMPTY);
  library.remove_entry(directory, name);
  library.touch(directory);
  library.lose_name(number, directory);
  operation.finish();
  return number;
}

void FileSystem::Library::change_parent(InodeNumber number, InodeNumber from, InodeNumber to) {
  if (from == to || !S_ISDIR(read_inode(number).i_mode)) return;
  replace_entry(number, "..", to, S_IFDIR);
  change_links(from, -1);
  change_links(to, 1);
}

void FileSystem::exchange(InodeNumber directory, std::string_view name, InodeNumber new_directory,
                          std::string_view new_name) {
  Library& library = *library_;
  const InodeNumber one = library.get(directory, name);
  const InodeNumber other = library.get(new_directory, new_name);
  library.replace_entry(directory, name, other, library.read_inode(other).i_mode);
  library.replace_entry(new_directory, new_name, one, library.read_inode(one).i_mode);
  library.change_parent(one, directory, new_directory);
  library.change_parent(other, new_directory, directory);
  for (const InodeNumber each : {one, other}) library.mark_changed(each);
}

std::optional<InodeNumber> FileSystem::rename(InodeNumber directory, std::string_view name,
                                              InodeNumber new_directory, std::string_view new_name,
                                              Rename how, const NewInode& whiteout) {
  Library& library = *library_;
  Operation operation(library);
  check_name(name);
  check_name(new_name);
  const InodeNumber number = library.get(directory, name);
  const mode_t mode = library.read_inode(number).i_mode;
  const std::optional<InodeNumber> replaced = library.find(new_directory, new_name);
  if (S_ISDIR(mode) && directory != new_directory && !replaced)
    library.require_room_for_link(library.read_inode(new_directory));
  if (replaced && how == Rename::no_replace) throw base::Error("the name exists", EEXIST);
  if (how == Rename::exchange) {
    exchange(directory, name, new_directory, new_name);
  } else {
    if (replaced == number) return std::nullopt;  // nothing was changed
    if (replaced) check_replacement(mode, *replaced);
    std::optional<InodeNumber> left;
    if (how == Rename::leave_whiteout) left = make_unnamed(whiteout);
    if (replaced) {
      library.replace_entry(new_directory, new_name, number, mode);
    } else {
      library.add_entry(new_directory, new_name, number, mode);
    }
    if (left) {
      library.replace_entry(directory, name, *left, S_IFCHR);
      library.change_links(*left, 1);
      library.remove_orphan(*left);
    } else {
      library.remove_entry(directory, name);
    }
    library.change_parent(number, directory, new_directory);
    library.mark_changed(number);
    if (replaced) library.lose_name(*replaced, new_directory);
  }
  library.touch(directory);
  if (new_directory != directory) library.touch(new_directory);
  operation.finish();
  return how == Rename::exchange ? std::nullopt : replaced;
}

void FileSystem::check_replacement(mode_t mode, InodeNumber replaced) {
  const bool is_directory = S_ISDIR(library_->read_inode(replaced).i_mode);
  if (S_ISDIR(mode) && !is_directory) throw base::Error("not a directory", ENOTDIR);
  if (!S_ISDIR(mode) && is_directory) throw base::Error("a directory", EISDIR);
  if (is_directory && !library_->is_empty_directory(replaced))
    throw base::Error("not empty", ENOTEMPTY);
}

std::string FileSystem::symlink_target(InodeNumber number) {
  Library& library = *library_;
  ext2_inode_large inode = library.read_inode(number);
  if (!S_ISLNK(inode.i_mode)) throw base::Error("no symbolic link", EINVAL);
  const std::size_t size = inode.i_size;
  if (size > kMaxTargetBytes)
    throw library.damage(base::cat("a symbolic link of ", size, " bytes"));
  std::string target(size, '\0');
  if (ext2fs_is_fast_symlink(library.generic(inode))) {
    std::memcpy(target.data(), inode.i_block, std::min(size, sizeof inode.i_block));
  } else {
    target.resize(read(number, 0, std::as_writable_bytes(std::span(target))));
  }
  return target.substr(0, target.find('\0'));
}

}  // namespace ext
