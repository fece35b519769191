// SPDX-License-Identifier: Apache-2.0
#include "sif/squashfs_reader.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "sif/directory_reader.h"
#include "sif/file_reader.h"
#include "sif/image_bytes.h"
#include "sif/inode_reader.h"
#include "sif/metadata_cache.h"
#include "sif/squashfs_superblock.h"
#include "sif/thread_decompressor.h"
#include "sif/xattr_reader.h"

namespace sif {
namespace {

// Metadata of a usual image is fetched at once: many small reads are slow on network file systems.
constexpr std::uint64_t kMaxMetadataPrefetch = 4 << 20;

ImageBytes open_bytes(int fd, std::uint64_t offset, std::uint64_t size, std::string name,
                      Superblock& super) {
  ImageBytes image(fd, offset, size, std::move(name));
  super = read_superblock(image);
  image.shrink(super.bytes_used);
  image.prefetch(super.inode_table,
                 std::min(super.bytes_used - super.inode_table, kMaxMetadataPrefetch));
  return image;
}

std::optional<PackedFile> packed_in_fragment(const ImageTables& tables, const InodeRecord& inode) {
  const std::uint64_t size = inode.attributes.size;
  const bool is_packed = inode.attributes.type == FileType::regular &&
                         inode.fragment != kNoFragment && size > 0 &&
                         size < tables.super.block_size;
  if (!is_packed) return std::nullopt;
  return PackedFile{inode.attributes.ref, inode.fragment, inode.fragment_offset,
                    static_cast<std::uint32_t>(size)};
}

}  // namespace

struct SquashfsReader::State {
  Superblock super;
  ImageBytes image;
  MetadataCache metadata;
  std::vector<std::uint32_t> ids;
  ImageTables tables;
  DirectoryReader directories;
  FileReader files;
  XattrReader xattrs;

  State(int fd, std::uint64_t offset, std::uint64_t size, std::string name)
      : image(open_bytes(fd, offset, size, std::move(name), super)),
        metadata(image, super.codec, super.bytes_used - super.inode_table),
        ids(read_id_table(metadata, super)),
        tables{image, super, metadata, ids},
        directories(tables),
        files(tables),
        xattrs(tables) {}
};

SquashfsReader::SquashfsReader(int fd, std::uint64_t offset, std::uint64_t size, std::string name)
    : state_(std::make_unique<State>(fd, offset, size, std::move(name))) {
  thread_decompressor(codec());  // an unsupported codec is an error now, not at the first read
  const InodeAttributes top = attributes(root());
  if (top.type != FileType::directory)
    throw state_->image.corrupt("the root inode is not a directory");
}

SquashfsReader::~SquashfsReader() = default;

InodeRef SquashfsReader::root() const { return state_->super.root_inode; }
Codec SquashfsReader::codec() const { return state_->super.codec; }
std::uint32_t SquashfsReader::block_size() const { return state_->super.block_size; }
std::uint64_t SquashfsReader::inode_count() const { return state_->super.inode_count; }
std::uint64_t SquashfsReader::bytes_used() const { return state_->super.bytes_used; }
bool SquashfsReader::has_xattrs() const { return state_->xattrs.has_any(); }

InodeAttributes SquashfsReader::attributes(InodeRef ref) const {
  return read_inode(state_->tables, ref).attributes;
}

std::optional<InodeRef> SquashfsReader::find_entry(InodeRef directory,
                                                   std::string_view name) const {
  return state_->directories.find(read_inode(state_->tables, directory), name);
}

void SquashfsReader::list(InodeRef directory, std::uint64_t cookie,
                          const std::function<bool(const Entry&)>& visit) const {
  state_->directories.list(read_inode(state_->tables, directory), cookie, visit);
}

std::string SquashfsReader::symlink_target(InodeRef ref) const {
  const InodeRecord inode = read_inode(state_->tables, ref);
  if (inode.attributes.type != FileType::symlink) throw base::errno_error(EINVAL, "inode ", ref);
  if (inode.attributes.size == 0 || inode.attributes.size > kMaxSymlinkTarget) {
    throw state_->image.corrupt("symlink target of ", inode.attributes.size,
                                " bytes, allowed are 1 to ", kMaxSymlinkTarget);
  }
  std::string target(inode.attributes.size, '\0');
  inode_table_cursor(state_->tables, inode.tail)
      .read_into(std::as_writable_bytes(std::span(target)));
  if (target.find('\0') != std::string::npos)
    throw state_->image.corrupt("symlink target with a NUL: ", base::printable(target));
  return target;
}

std::vector<std::pair<std::string, std::string>> SquashfsReader::xattrs(
    const InodeAttributes& inode) const {
  return state_->xattrs.read(inode.xattr_index);
}

std::size_t SquashfsReader::read_file(InodeRef ref, std::uint64_t offset,
                                      std::span<std::byte> out) const {
  return state_->files.read(read_inode(state_->tables, ref), offset, out);
}

StoredPlace SquashfsReader::stored_place(InodeRef file) const {
  const InodeRecord inode = read_inode(state_->tables, file);
  StoredPlace place{inode.attributes.size, inode.data_position, 0, inode.fragment,
                    inode.fragment_offset};
  state_->files.visit_blocks(inode, [&](const StoredBlock& block) {
    place.size_words =
        XXH3_64bits_withSeed(&block.size_word, sizeof block.size_word, place.size_words);
  });
  return place;
}

void SquashfsReader::visit_blocks(InodeRef file,
                                  const std::function<void(const StoredBlock&)>& visit) const {
  state_->files.visit_blocks(read_inode(state_->tables, file), visit);
}

std::optional<StoredTail> SquashfsReader::stored_tail(InodeRef file) const {
  return state_->files.stored_tail(read_inode(state_->tables, file));
}

std::size_t SquashfsReader::copy_block(const StoredBlock& block, bool is_of_tails,
                                       std::span<std::byte> out,
                                       std::span<std::byte> scratch) const {
  return state_->files.copy_block(block, is_of_tails, out, scratch);
}

std::optional<PackedFile> SquashfsReader::packed_file(InodeRef ref) const {
  return packed_in_fragment(state_->tables, read_inode(state_->tables, ref));
}

std::vector<PackedFile> SquashfsReader::packed_files() const {
  std::vector<PackedFile> files;
  std::optional<InodeRef> ref = 0;
  for (std::uint64_t count = 0; ref && count < inode_count(); ++count) {
    const InodeRecord inode = read_inode(state_->tables, *ref);
    if (const auto file = packed_in_fragment(state_->tables, inode)) files.push_back(*file);
    ref = next_inode(state_->tables, inode);
  }
  std::ranges::sort(files, {}, [](const PackedFile& file) {
    return std::tuple(file.fragment, file.offset, file.ref);
  });
  return files;
}

}  // namespace sif
