// SPDX-License-Identifier: Apache-2.0
// Written against libsquashfs 1.2 and 1.3. Callbacks from the library are C: an exception that
// would cross it is kept and thrown again once the library has returned.
#include "sif/libsquashfs_adapter.h"

#include <sqfs/compressor.h>
#include <sqfs/dir.h>
#include <sqfs/dir_writer.h>
#include <sqfs/error.h>
#include <sqfs/frag_table.h>
#include <sqfs/id_table.h>
#include <sqfs/inode.h>
#include <sqfs/io.h>
#include <sqfs/meta_writer.h>
#include <sqfs/super.h>

#include <algorithm>
#include <exception>
#include <unordered_map>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/syscalls.h"
#include "sif/codec.h"
#include "sif/libsquashfs_inode.h"
#include "sif/xattr_table.h"

namespace sif {
namespace {

constexpr std::size_t kMaxIds = 65535;  // the superblock's count has 16 bits
constexpr std::uint64_t kAbsent = ~std::uint64_t{0};

struct SqfsDestroy {
  void operator()(void* object) const { sqfs_destroy(object); }
};
template <typename T>
using Object = std::unique_ptr<T, SqfsDestroy>;

// The library's file interface on a part of the output file.
struct OffsetFile {
  sqfs_file_t base;
  int fd;
  std::uint64_t offset;
  std::uint64_t size = 0;
  std::exception_ptr failure;
};

int write_at(sqfs_file_t* base, sqfs_u64 position, const void* data, size_t size) {
  auto* file = reinterpret_cast<OffsetFile*>(base);
  try {
    base::pwrite_all(file->fd, std::as_bytes(std::span(static_cast<const char*>(data), size)),
                     file->offset + position, "the image");
    file->size = std::max(file->size, position + size);
    return 0;
  } catch (...) {
    file->failure = std::current_exception();
    return SQFS_ERROR_IO;
  }
}

// Only readers and the library's own data writer need these.
int read_at(sqfs_file_t*, sqfs_u64, void*, size_t) { return SQFS_ERROR_UNSUPPORTED; }
int truncate_to(sqfs_file_t*, sqfs_u64) { return SQFS_ERROR_UNSUPPORTED; }
sqfs_u64 size_of(const sqfs_file_t* base) {
  return reinterpret_cast<const OffsetFile*>(base)->size;
}

// Below this part of its size a block of inodes or listings is compressed even where that is not
// for size: block lists of sparse files are all zeros.
constexpr std::uint32_t kWorthwhile = 4;

// The library's compressor interface on one of ours.
struct MetadataCompressor {
  sqfs_compressor_t base;
  Compressor* compressor;
  bool favours_starts;
  std::exception_ptr failure;
};

sqfs_s32 compress_block(sqfs_compressor_t* base, const sqfs_u8* in, sqfs_u32 size, sqfs_u8* out,
                        sqfs_u32 out_size) {
  auto* self = reinterpret_cast<MetadataCompressor*>(base);
  if (out_size < size) return SQFS_ERROR_COMPRESSOR;
  try {
    const std::size_t packed = self->compressor->compress(
        std::as_bytes(std::span(in, size)), std::as_writable_bytes(std::span(out, out_size)),
        Search::thorough);
    const bool worthwhile = !self->favours_starts || packed <= size / kWorthwhile;
    return worthwhile ? static_cast<sqfs_s32>(packed) : 0;
  } catch (...) {
    self->failure = std::current_exception();
    return SQFS_ERROR_COMPRESSOR;
  }
}

}  // namespace

struct MetadataTables::State {
  State(int fd, std::uint64_t offset, const SquashfsOptions& given);

  // Turns the library's error number into an exception, or throws what a callback kept.
  void check(int result, const char* attempt);
  template <typename T>
  T* check_made(T* object, const char* what) {
    if (object == nullptr) throw base::error("cannot make the ", what, ": out of memory");
    return object;
  }
  void append(sqfs_meta_writer_t* writer, std::span<const std::byte> data);
  void append_sizes(std::span<const std::uint32_t> words);
  InodePosition position_in(const sqfs_meta_writer_t* writer) const;
  std::uint16_t id_index(std::uint32_t id);
  InodePosition write(const NewInode& record, sqfs_inode_generic_t& inode);
  void write_xattr_tables();

  SquashfsOptions options;
  std::unique_ptr<Compressor> compressor;
  OffsetFile file;
  MetadataCompressor metadata_compressor;
  sqfs_super_t super{};
  Object<sqfs_meta_writer_t> inodes, listings, xattrs;
  Object<sqfs_dir_writer_t> directory;
  Object<sqfs_id_table_t> ids;
  Object<sqfs_frag_table_t> fragments;
  std::unordered_map<std::uint32_t, std::uint16_t> id_indexes;
  std::unordered_map<std::string, std::uint32_t> xattr_indexes;  // by the set's stored bytes
  base::ByteWriter xattr_ids;
};

MetadataTables::State::State(int fd, std::uint64_t offset, const SquashfsOptions& given)
    : options(given),
      compressor(make_compressor(given.codec, given.level, given.block_size)),
      file{{{nullptr, nullptr}, read_at, write_at, size_of, truncate_to}, fd, offset, 0, {}},
      metadata_compressor{{{nullptr, nullptr}, nullptr, nullptr, nullptr, compress_block},
                          compressor.get(),
                          given.favours_starts(),
                          {}} {
  check(sqfs_super_init(&super, options.block_size, options.modified_time,
                        static_cast<SQFS_COMPRESSOR>(options.codec)),
        "prepare the superblock");
  file.size = sizeof(super);
  sqfs_compressor_t* packer = &metadata_compressor.base;
  const auto make_writer = [&](sqfs_u32 flags) {
    return check_made(sqfs_meta_writer_create(&file.base, packer, flags), "metadata writer");
  };
  inodes.reset(make_writer(0));
  listings.reset(make_writer(SQFS_META_WRITER_KEEP_IN_MEMORY));
  xattrs.reset(make_writer(SQFS_META_WRITER_KEEP_IN_MEMORY));
  directory.reset(
      check_made(sqfs_dir_writer_create(listings.get(), SQFS_DIR_WRITER_CREATE_EXPORT_TABLE),
                 "directory writer"));
  ids.reset(check_made(sqfs_id_table_create(0), "ID table"));
  fragments.reset(check_made(sqfs_frag_table_create(0), "fragment table"));
}

void MetadataTables::State::check(int result, const char* attempt) {
  if (result == 0) return;
  if (file.failure) std::rethrow_exception(std::exchange(file.failure, nullptr));
  if (metadata_compressor.failure)
    std::rethrow_exception(std::exchange(metadata_compressor.failure, nullptr));
  throw base::error("cannot ", attempt, ": libsquashfs error ", result);
}

void MetadataTables::State::append(sqfs_meta_writer_t* writer, std::span<const std::byte> data) {
  check(sqfs_meta_writer_append(writer, data.data(), data.size()), "write metadata");
}

// The library would copy them onto the stack first, which millions of blocks do not fit.
void MetadataTables::State::append_sizes(std::span<const std::uint32_t> words) {
  base::ByteWriter bytes;
  for (const std::uint32_t word : words) bytes.write(word);
  append(inodes.get(), bytes.bytes());
}

InodePosition MetadataTables::State::position_in(const sqfs_meta_writer_t* writer) const {
  sqfs_u64 block = 0;
  sqfs_u32 offset = 0;
  sqfs_meta_writer_get_position(writer, &block, &offset);
  return block << 16 | offset;
}

// The library looks an ID up by going through all: once for each distinct one is enough.
std::uint16_t MetadataTables::State::id_index(std::uint32_t id) {
  const auto [entry, added] = id_indexes.try_emplace(id, std::uint16_t{0});
  if (!added) return entry->second;
  if (id_indexes.size() > kMaxIds)
    throw base::error("the image has more than ", kMaxIds,
                      " different user and group IDs, which is all that squashfs can hold");
  check(sqfs_id_table_id_to_index(ids.get(), id, &entry->second), "add to the ID table");
  return entry->second;
}

InodePosition MetadataTables::State::write(const NewInode& record, sqfs_inode_generic_t& inode) {
  inode.base.mode = format_mode(*record.inode);
  inode.base.uid_idx = id_index(record.inode->uid);
  inode.base.gid_idx = id_index(record.inode->gid);
  inode.base.mod_time = static_cast<sqfs_u32>(
      std::clamp<std::int64_t>(record.inode->mtime, 0, std::int64_t{0xFFFFFFFF}));
  inode.base.inode_number = record.number;
  const InodePosition position = position_in(inodes.get());
  if (position >> 16 > 0xFFFFFFFF) throw base::error("the inode table exceeds 4 GiB");
  check(sqfs_meta_writer_write_inode(inodes.get(), &inode), "write an inode");
  return position;
}

MetadataTables::MetadataTables(int fd, std::uint64_t offset, const SquashfsOptions& options)
    : state_(std::make_unique<State>(fd, offset, options)) {}

MetadataTables::~MetadataTables() = default;

std::uint64_t MetadataTables::write_codec_options() {
  // gzip, zstd and xz have defaults that fit; LZ4 has no default and readers insist on the block.
  if (state_->options.codec == Codec::lz4) {
    constexpr std::uint32_t kLegacyFormat = 1, kHighCompression = 1, kOptionsSize = 8;
    base::ByteWriter block;
    block.write(static_cast<std::uint16_t>(kMetadataStoredBit | kOptionsSize));
    block.write(kLegacyFormat);
    block.write(state_->options.level > 2 ? kHighCompression : 0U);
    state_->check(
        write_at(&state_->file.base, state_->file.size, block.bytes().data(), block.bytes().size()),
        "write the codec options");
    state_->super.flags |= SQFS_FLAG_COMPRESSOR_OPTIONS;
  }
  return state_->file.size;
}

void MetadataTables::begin_tables(std::uint64_t position) {
  state_->file.size = position;
  state_->super.inode_table_start = position;
}

void MetadataTables::add_fragment(std::uint64_t position, std::uint32_t size_word) {
  state_->check(sqfs_frag_table_append(state_->fragments.get(), position, size_word, nullptr),
                "add to the fragment table");
}

std::uint32_t MetadataTables::add_xattrs(const std::map<std::string, std::string>& xattrs) {
  if (xattrs.empty()) return kNoXattr;
  XattrSet set = pack_xattrs(xattrs);
  const auto index = static_cast<std::uint32_t>(state_->xattr_indexes.size());
  const auto [entry, added] = state_->xattr_indexes.try_emplace(std::move(set.bytes), index);
  if (!added) return entry->second;
  const std::string& bytes = entry->first;
  state_->xattr_ids.write(state_->position_in(state_->xattrs.get()));
  state_->xattr_ids.write(set.count);
  state_->xattr_ids.write(static_cast<std::uint32_t>(bytes.size()));
  state_->append(state_->xattrs.get(), std::as_bytes(std::span(bytes)));
  return index;
}

InodePosition MetadataTables::write_inode(const NewInode& record) {
  const InodePosition position = state_->write(record, *make_inode(record));
  if (record.inode->type == FileType::regular) state_->append_sizes(record.size_words);
  return position;
}

void MetadataTables::begin_listing() {
  state_->check(sqfs_dir_writer_begin(state_->directory.get(), 0), "begin a directory");
}

void MetadataTables::add_entry(const std::string& name, const Inode& inode, std::uint32_t number,
                               InodePosition position) {
  state_->check(sqfs_dir_writer_add_entry(state_->directory.get(), name.c_str(), number, position,
                                          format_mode(inode)),
                "add a directory entry");
}

MetadataTables::Listing MetadataTables::end_listing(std::uint32_t parent_number,
                                                    std::uint32_t xattrs) {
  sqfs_dir_writer_t* writer = state_->directory.get();
  state_->check(sqfs_dir_writer_end(writer), "write a directory");
  if (sqfs_dir_writer_get_dir_reference(writer) >> 16 > 0xFFFFFFFF ||
      sqfs_dir_writer_get_size(writer) > 0xFFFFFFF0)
    throw base::error("the directory table exceeds 4 GiB");
  Listing listing;
  // The attribute set goes in here: to set "none" on the finished inode makes version 1.2 turn an
  // extended inode into a basic one, whose size field is too small and which has no index.
  listing.inode_.reset(state_->check_made(
      sqfs_dir_writer_create_inode(writer, 0, xattrs, parent_number), "directory inode"));
  drop_index_if_too_long(*static_cast<sqfs_inode_generic_t*>(listing.inode_.get()));
  return listing;
}

InodePosition MetadataTables::write_directory(const NewInode& record, Listing listing) {
  auto& inode = *static_cast<sqfs_inode_generic_t*>(listing.inode_.get());
  if (inode.base.type == SQFS_INODE_DIR) {
    inode.data.dir.nlink = record.link_count;
  } else {
    inode.data.dir_ext.nlink = record.link_count;
  }
  return state_->write(record, inode);
}

void MetadataTables::State::write_xattr_tables() {
  if (xattr_indexes.empty()) {
    super.xattr_id_table_start = kAbsent;
    super.flags |= SQFS_FLAG_NO_XATTRS;
    return;
  }
  super.flags &= static_cast<sqfs_u16>(~SQFS_FLAG_NO_XATTRS);
  check(sqfs_meta_writer_flush(xattrs.get()), "write extended attributes");
  const std::uint64_t values_start = file.size;
  check(sqfs_meta_write_write_to_file(xattrs.get()), "write extended attributes");

  // The ID table by hand: unlike the library's other tables, its list of blocks has a header.
  base::ByteWriter index;
  index.write(values_start);
  index.write(static_cast<std::uint32_t>(xattr_indexes.size()));
  index.write(std::uint32_t{0});
  const Object<sqfs_meta_writer_t> writer(check_made(
      sqfs_meta_writer_create(&file.base, &metadata_compressor.base, 0), "metadata writer"));
  for (std::span rest(xattr_ids.bytes()); !rest.empty();) {
    const std::size_t count = std::min<std::size_t>(rest.size(), kMetadataBlockSize);
    index.write(file.size);
    append(writer.get(), rest.first(count));
    check(sqfs_meta_writer_flush(writer.get()), "write the extended attribute table");
    rest = rest.subspan(count);
  }
  super.xattr_id_table_start = file.size;
  check(write_at(&file.base, file.size, index.bytes().data(), index.bytes().size()),
        "write the extended attribute table");
}

std::uint64_t MetadataTables::finish(const NewImage& image) {
  State& s = *state_;
  sqfs_file_t* file = &s.file.base;
  sqfs_compressor_t* packer = &s.metadata_compressor.base;
  s.check(sqfs_meta_writer_flush(s.inodes.get()), "write the inode table");
  s.super.root_inode_ref = image.root;
  s.super.inode_count = image.inode_count;
  s.super.directory_table_start = s.file.size;
  s.check(sqfs_meta_writer_flush(s.listings.get()), "write the directory table");
  s.check(sqfs_meta_write_write_to_file(s.listings.get()), "write the directory table");
  s.check(sqfs_frag_table_write(s.fragments.get(), file, &s.super, packer),
          "write the fragment table");
  s.check(sqfs_dir_writer_write_export_table(s.directory.get(), file, packer, image.root_number,
                                             image.root, &s.super),
          "write the export table");
  s.check(sqfs_id_table_write(s.ids.get(), file, &s.super, packer), "write the ID table");
  s.write_xattr_tables();
  s.super.bytes_used = s.file.size;
  s.check(sqfs_super_write(&s.super, file), "write the superblock");
  return s.super.bytes_used;
}

void MetadataTables::Listing::Free::operator()(void* inode) const { sqfs_free(inode); }

}  // namespace sif
