// SPDX-License-Identifier: Apache-2.0
// Entries of directories: their blocks, and the index of names of the large ones. Format:
// Documentation/filesystems/ext4/directory.rst of the kernel's source. Hashed trees (dir_index) are
// read as the plain list of entries that they are as well; only libext2fs adds to them.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ext/entry_types.h"
#include "ext/library.h"

namespace ext {
namespace {

constexpr std::uint64_t kMaxDirectoryBytes = 1 << 30;
constexpr std::size_t kEntryHeader = 8;  // of struct ext2_dir_entry

bool is_hashed(const ext2_inode_large& inode) { return (inode.i_flags & EXT2_INDEX_FL) != 0; }

std::size_t entry_bytes(std::size_t name_bytes) { return (kEntryHeader + name_bytes + 3) & ~3U; }

}  // namespace

bool FileSystem::Library::Place::is_used() const {
  return entry()->inode != 0 && ext2fs_dirent_name_len(entry()) > 0;
}

std::string_view FileSystem::Library::Place::entry_name() const {
  return {entry()->name, static_cast<std::size_t>(ext2fs_dirent_name_len(entry()))};
}

void FileSystem::Library::read_directory_block(DirectoryBlock& block) {
  block.bytes.resize(fs->blocksize);
  check(ext2fs_read_dir_block4(fs, block.physical, block.bytes.data(), 0, block.directory), name(),
        ": cannot read block ", block.logical, " of directory ", block.directory);
}

void FileSystem::Library::write_directory_block(DirectoryBlock& block) {
  check(ext2fs_write_dir_block4(fs, block.physical, block.bytes.data(), 0, block.directory), name(),
        ": cannot write directory ", block.directory);
}

bool FileSystem::Library::walk_block(DirectoryBlock& block, const TakePlace& take) {
  const std::size_t size = block.bytes.size();
  for (std::size_t at = 0, previous = 0; at < size;) {
    auto* const entry = reinterpret_cast<ext2_dir_entry*>(block.bytes.data() + at);
    unsigned length = 0;
    const bool has_header =
        size - at >= kEntryHeader && ext2fs_get_rec_len(fs, entry, &length) == 0;
    const auto name_length =
        static_cast<std::size_t>(has_header ? ext2fs_dirent_name_len(entry) : 0);
    if (!has_header || length < kEntryHeader || length % 4 != 0 || length > size - at ||
        name_length > length - kEntryHeader)
      throw damage(base::cat("directory ", block.directory, " has an entry of ", length,
                             " bytes at offset ", at, " of its block ", block.logical));
    if (!take({block, at, length, previous})) return false;
    previous = at;
    at += length;
  }
  return true;
}

std::uint64_t FileSystem::Library::directory_blocks(InodeNumber directory,
                                                    const ext2_inode_large& inode) const {
  if (!S_ISDIR(inode.i_mode))
    throw base::Error(base::cat(name(), ": inode ", directory, " is no directory"), ENOTDIR);
  const std::uint64_t size = EXT2_I_SIZE(&inode);
  if (size > kMaxDirectoryBytes)
    throw damage(base::cat("a directory of ", size, " bytes, allowed are ", kMaxDirectoryBytes));
  return size / fs->blocksize;
}

void FileSystem::Library::for_each_entry(InodeNumber directory, std::uint64_t cookie,
                                         const TakePlace& take) {
  ext2_inode_large inode = read_inode(directory);
  const std::uint64_t blocks = directory_blocks(directory, inode);
  DirectoryBlock block{directory};
  for (block.logical = cookie / fs->blocksize; block.logical < blocks; ++block.logical) {
    block.physical = find_block(directory, inode, block.logical);
    if (block.physical == 0) continue;
    read_directory_block(block);
    const bool goes_on = walk_block(block, [&](const Place& place) {
      return place.cookie() < cookie || !place.is_used() || take(place);
    });
    if (!goes_on) return;
  }
}

NameIndex::Directory* FileSystem::Library::index_of(InodeNumber directory,
                                                    const ext2_inode_large& inode) {
  if (NameIndex::Directory* const known = names.find(directory)) return known;
  const std::uint64_t bytes = directory_blocks(directory, inode) * fs->blocksize;
  // Whoever adds to a hashed tree moves other entries.
  if (!NameIndex::is_of_use(bytes) || (writable && is_hashed(inode))) return nullptr;
  NameIndex::Directory& made = names.make(directory, bytes);
  try {
    for_each_entry(directory, 0, [&](const Place& place) {
      made.add(place.entry_name(), place.position());
      return true;
    });
  } catch (const base::Error&) {
    names.remove(directory);  // damaged: names before that can be found from the start
    return nullptr;
  }
  return &made;
}

bool FileSystem::Library::with_entry(InodeNumber directory, std::string_view wanted,
                                     const std::function<void(const Place&)>& take) {
  bool found = false;
  const TakePlace take_it = [&](const Place& place) {
    found = place.is_used() && place.entry_name() == wanted;
    if (found) take(place);
    return !found;
  };
  const ext2_inode_large inode = read_inode(directory);
  const auto* const index = index_of(directory, inode);
  if (index == nullptr) {
    for_each_entry(directory, 0, take_it);
    return found;
  }
  for (const NameIndex::Position& each : index->find(wanted)) {
    DirectoryBlock block{directory, each.logical, each.physical};
    read_directory_block(block);
    walk_block(block, [&](const Place& place) {
      return place.offset < each.offset || (place.offset == each.offset && take_it(place));
    });
    if (found) break;
  }
  return found;
}

std::optional<InodeNumber> FileSystem::Library::find(InodeNumber directory,
                                                     std::string_view wanted) {
  std::optional<InodeNumber> found;
  with_entry(directory, wanted, [&](const Place& place) { found = place.entry()->inode; });
  return found;
}

InodeNumber FileSystem::Library::get(InodeNumber directory, std::string_view wanted) {
  const auto found = find(directory, wanted);
  if (!found) throw base::Error("no such entry", ENOENT);
  return *found;
}

// Where entries end. 0: a block of what was a hashed tree, which has no checksum of that kind.
std::size_t FileSystem::Library::end_of_entries(const DirectoryBlock& block) const {
  if (!ext2fs_has_feature_metadata_csum(fs->super)) return block.bytes.size();
  ext2_dir_entry_tail tail{};
  const std::size_t end = block.bytes.size() - sizeof tail;
  std::memcpy(&tail, block.bytes.data() + end, sizeof tail);
  const bool is_tail = tail.det_reserved_zero1 == 0 && tail.det_rec_len == sizeof tail &&
                       tail.det_reserved_name_len == EXT2_DIR_NAME_LEN_CSUM;
  return is_tail ? end : 0;
}

std::optional<NameIndex::Position> FileSystem::Library::insert(DirectoryBlock& block,
                                                               std::string_view name,
                                                               InodeNumber number, mode_t mode) {
  const std::size_t needed = entry_bytes(name.size()), end = end_of_entries(block);
  std::optional<NameIndex::Position> made;
  walk_block(block, [&](const Place& place) {
    const std::size_t used = place.entry()->inode != 0 ? entry_bytes(place.entry_name().size()) : 0;
    if (place.length < used + needed || place.offset + place.length > end) return true;
    const Place free{block, place.offset + used, place.length - used, place.offset};
    if (used != 0)
      check(ext2fs_set_rec_len(fs, static_cast<unsigned>(used), place.entry()), this->name());
    check(ext2fs_set_rec_len(fs, static_cast<unsigned>(free.length), free.entry()), this->name());
    free.entry()->inode = number;
    ext2fs_dirent_set_name_len(free.entry(), static_cast<int>(name.size()));
    ext2fs_dirent_set_file_type(free.entry(), entry_type_of(*fs->super, mode));
    std::memcpy(free.entry()->name, name.data(), name.size());
    made = free.position();
    return false;
  });
  return made;
}

bool FileSystem::Library::insert_into_blocks(InodeNumber directory, std::string_view name,
                                             InodeNumber number, mode_t mode) {
  ext2_inode_large inode = read_inode(directory);
  const std::uint64_t blocks = directory_blocks(directory, inode);
  NameIndex::Directory* const index = index_of(directory, inode);
  DirectoryBlock block{directory};
  for (block.logical = index ? index->first_with_room : 0; block.logical < blocks;
       ++block.logical) {
    block.physical = find_block(directory, inode, block.logical);
    if (block.physical == 0) continue;
    read_directory_block(block);
    const auto position = insert(block, name, number, mode);
    if (index) index->first_with_room = block.logical;
    if (!position) continue;
    write_directory_block(block);
    if (index) index->add(name, *position);
    return true;
  }
  return false;
}

void FileSystem::Library::add_entry(InodeNumber directory, std::string_view entry,
                                    InodeNumber number, mode_t mode) {
  const std::string text(entry);
  const auto add = [&] {
    if (!is_hashed(read_inode(directory)))
      return insert_into_blocks(directory, entry, number, mode);
    const int type = entry_type_of(*fs->super, mode);
    names.remove(directory);
    const errcode_t code = ext2fs_link(fs, directory, text.c_str(), number, type);
    if (code == EXT2_ET_DIR_NO_SPACE) return false;
    check(code, name(), ": cannot make ", base::printable(text));
    return true;
  };
  if (add()) return;
  check(ext2fs_expand_dir(fs, directory), name(), ": cannot make ", base::printable(text));
  names.resize(directory, directory_blocks(directory, read_inode(directory)) * fs->blocksize);
  if (!add()) throw damage(base::cat("directory ", directory, " has no room in a new block"));
}

void FileSystem::Library::remove_entry(InodeNumber directory, std::string_view entry) {
  const bool existed = with_entry(directory, entry, [&](const Place& place) {
    if (place.previous == place.offset) {
      place.entry()->inode = 0;
    } else {
      const auto length = static_cast<unsigned>(place.offset - place.previous + place.length);
      check(ext2fs_set_rec_len(fs, length, place.at(place.previous)), name());
    }
    write_directory_block(place.block);
    NameIndex::Directory* const index = names.find(directory);
    if (index == nullptr) return;
    index->remove(entry, place.position());
    index->first_with_room = std::min(index->first_with_room, place.block.logical);
  });
  if (!existed) throw damage(base::cat("directory ", directory, " lacks an entry"));
}

void FileSystem::Library::replace_entry(InodeNumber directory, std::string_view entry,
                                        InodeNumber number, mode_t mode) {
  const bool existed = with_entry(directory, entry, [&](const Place& place) {
    place.entry()->inode = number;
    ext2fs_dirent_set_file_type(place.entry(), entry_type_of(*fs->super, mode));
    write_directory_block(place.block);
  });
  if (!existed) throw damage(base::cat("directory ", directory, " lacks an entry"));
}

bool FileSystem::Library::is_empty_directory(InodeNumber directory) {
  bool empty = true;
  for_each_entry(directory, 0, [&](const Place& place) {
    empty = place.entry_name() == "." || place.entry_name() == "..";
    return empty;
  });
  return empty;
}

}  // namespace ext
