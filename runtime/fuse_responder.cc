// SPDX-License-Identifier: Apache-2.0
#include "runtime/fuse_responder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string>

#include "base/error.h"
#include "base/log.h"
#include "runtime/directory_reply.h"
#include "runtime/fuse_protocol.h"
#include "sif/squashfs_format.h"

namespace runtime {
namespace {

// Offsets in directory listings from here on are those of added nodes.
constexpr std::uint64_t kAddedOffset = std::uint64_t{1} << 62;
constexpr std::uint32_t kMaxWrite = 4096;
constexpr std::uint16_t kMaxBackground = 64;
// Requests that wait for this limit on one transport are not woken by the other.
constexpr std::uint16_t kMaxBackgroundOfTwo = 4096;
constexpr std::uint32_t kOverIoUring = 1 << 9;  // FUSE_OVER_IO_URING in flags2, protocol 7.42
constexpr std::string_view kTrustedPrefix = "trusted.";

constexpr std::uint32_t kWantedFlags =
    FUSE_ASYNC_READ | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_PARALLEL_DIROPS |
    FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT | FUSE_CACHE_SYMLINKS | FUSE_MAX_PAGES;

}  // namespace

const FuseOperation<FuseResponder> FuseResponder::kOperations[] = {
    {FUSE_LOOKUP, &FuseResponder::lookup},
    {FUSE_READ, &FuseResponder::read_data},
    {FUSE_GETATTR, &FuseResponder::get_attributes},
    {FUSE_READLINK, &FuseResponder::read_link},
    {FUSE_READDIRPLUS, &FuseResponder::read_directory},
    {FUSE_READDIR, &FuseResponder::read_directory},
    {FUSE_FORGET, nullptr},
    {FUSE_BATCH_FORGET, nullptr},
    {FUSE_INTERRUPT, nullptr},
    {FUSE_OPEN, &FuseResponder::open_file},
    {FUSE_OPENDIR, &FuseResponder::open_directory},
    {FUSE_GETXATTR, &FuseResponder::get_xattr},
    {FUSE_LISTXATTR, &FuseResponder::list_xattrs},
    {FUSE_STATFS, &FuseResponder::file_system_status},
    {FUSE_INIT, &FuseResponder::initialize},
    {FUSE_RELEASE, &FuseResponder::succeed},
    {FUSE_RELEASEDIR, &FuseResponder::succeed},
    {FUSE_DESTROY, &FuseResponder::succeed},
    {FUSE_SETATTR, &FuseResponder::refuse_write},
    {FUSE_SYMLINK, &FuseResponder::refuse_write},
    {FUSE_MKNOD, &FuseResponder::refuse_write},
    {FUSE_MKDIR, &FuseResponder::refuse_write},
    {FUSE_UNLINK, &FuseResponder::refuse_write},
    {FUSE_RMDIR, &FuseResponder::refuse_write},
    {FUSE_RENAME, &FuseResponder::refuse_write},
    {FUSE_RENAME2, &FuseResponder::refuse_write},
    {FUSE_LINK, &FuseResponder::refuse_write},
    {FUSE_WRITE, &FuseResponder::refuse_write},
    {FUSE_SETXATTR, &FuseResponder::refuse_write},
    {FUSE_REMOVEXATTR, &FuseResponder::refuse_write},
    {FUSE_CREATE, &FuseResponder::refuse_write},
    {FUSE_TMPFILE, &FuseResponder::refuse_write},
    {FUSE_FALLOCATE, &FuseResponder::refuse_write},
    {FUSE_COPY_FILE_RANGE, &FuseResponder::refuse_write},
};

FuseResponder::FuseResponder(const sif::SquashfsReader& reader, FuseOptions options,
                             std::span<const AddedPath> added, TraceRecorder* recorder,
                             ReadAhead* read_ahead)
    : reader_(reader), options_(options), recorder_(recorder), read_ahead_(read_ahead) {
  for (const AddedPath& path : added)
    added_.add(node_id_of(path.directory), path.components, path.is_directory);
}

std::span<const std::byte> FuseResponder::answer(std::span<const std::byte> request,
                                                 FuseReply& reply) {
  return answer_by_table(*this, kOperations, request, reply,
                         [&](const base::Error& error) { log_failure(error.what()); });
}

// A corrupt image may fail at every request: the first lines say what is to be said.
void FuseResponder::log_failure(const char* text) {
  const unsigned count = logged_failures_.fetch_add(1, std::memory_order_relaxed);
  if (count < kMaxLoggedFailures) base::log_warning(text);
  if (count + 1 == kMaxLoggedFailures)
    base::log_warning("further errors of this image are not shown");
}

int FuseResponder::initialize(const Request& request, FuseReply& reply) {
  const auto in = parse<fuse_init_in>(request.body);
  fuse_init_out out{};
  out.major = FUSE_KERNEL_VERSION;
  out.minor = FUSE_KERNEL_MINOR_VERSION;
  if (in.major == FUSE_KERNEL_VERSION) {
    kernel_flags_ = in.flags;
    out.flags = in.flags & kWantedFlags;
    out.max_readahead = std::min(in.max_readahead, kRequestBytes);
    offers_io_uring_ = (in.flags & FUSE_INIT_EXT) != 0 && (in.flags2 & kOverIoUring) != 0;
    out.max_background = offers_io_uring_ ? kMaxBackgroundOfTwo : kMaxBackground;
    out.congestion_threshold = static_cast<std::uint16_t>(out.max_background / 4 * 3);
    out.max_write = kMaxWrite;
    out.time_gran = 1'000'000'000;  // squashfs keeps whole seconds
    const auto page_bytes = static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE));
    out.max_pages = static_cast<std::uint16_t>(std::max(1U, kRequestBytes / page_bytes));
  }
  reply.put(out);
  return 0;
}

sif::InodeRef FuseResponder::ref_of(std::uint64_t node_id) const {
  return node_id == FUSE_ROOT_ID ? reader_.root() : node_id - kFirstNodeId;
}

std::uint64_t FuseResponder::node_id_of(sif::InodeRef ref) const {
  return ref == reader_.root() ? FUSE_ROOT_ID : runtime::node_id_of(ref);
}

fuse_attr FuseResponder::attributes_of(const sif::InodeAttributes& inode) const {
  fuse_attr out{};
  out.ino = inode.inode_number;
  out.size = inode.size;
  out.blocks = (inode.allocated_size + 511) / 512;
  out.atime = out.mtime = out.ctime = inode.mtime;
  out.mode = type_bits(inode.type).mode | inode.mode;
  out.nlink = inode.link_count;
  if (inode.type == sif::FileType::directory)
    out.nlink += added_.directories_in(node_id_of(inode.ref));
  out.uid = options_.owner ? options_.owner->uid : inode.uid;
  out.gid = options_.owner ? options_.owner->gid : inode.gid;
  out.rdev = sif::packed_device(inode.device_major, inode.device_minor);
  out.blksize = std::min(reader_.block_size(), kRequestBytes);
  return out;
}

fuse_attr FuseResponder::attributes_of(const AddedNodes::Node& node) const {
  fuse_attr out = attributes_of(reader_.attributes(reader_.root()));
  out.ino = reader_.inode_count() + 1 + (node.id - added_.all().front().id);
  out.size = out.blocks = 0;
  out.mode = node.is_directory ? S_IFDIR | 0755 : S_IFREG | 0644;
  out.nlink = node.is_directory ? 2 + added_.directories_in(node.id) : 1;
  return out;
}

fuse_attr FuseResponder::attributes_of_node(std::uint64_t node_id) const {
  const AddedNodes::Node* added = added_.find(node_id);
  return added != nullptr ? attributes_of(*added)
                          : attributes_of(reader_.attributes(ref_of(node_id)));
}

fuse_entry_out FuseResponder::entry_of(const AddedNodes::Node& node) const {
  fuse_entry_out out{};
  out.nodeid = node.id;
  out.entry_valid = out.attr_valid = kForever;
  out.attr = attributes_of(node);
  return out;
}

fuse_entry_out FuseResponder::entry_of(const sif::InodeAttributes& inode) const {
  // The kernel takes care of other directory loops, but not of the root as somebody's child.
  if (inode.ref == reader_.root())
    throw base::Error("corrupt squashfs: a directory contains the root directory", EIO);
  fuse_entry_out out{};
  out.nodeid = runtime::node_id_of(inode.ref);
  out.entry_valid = kForever;
  out.attr_valid = kForever;
  out.attr = attributes_of(inode);
  return out;
}

int FuseResponder::lookup(const Request& request, FuseReply& reply) {
  const std::uint64_t parent = request.header.nodeid;
  const std::string_view name = parse_name(request.body);
  if (name.size() > kMaxName) return ENAMETOOLONG;
  fuse_entry_out out{};
  out.entry_valid = kForever;  // with node id 0: absence is remembered, too
  if (const AddedNodes::Node* added = added_.find(parent, name)) {
    out = entry_of(*added);
  } else if (added_.find(parent) == nullptr) {
    if (const auto found = reader_.find_entry(ref_of(parent), name))
      out = entry_of(reader_.attributes(*found));
  }
  if (recorder_ != nullptr) recorder_->lookup(parent, name, out.nodeid);
  reply.put(out);
  return 0;
}

int FuseResponder::get_attributes(const Request& request, FuseReply& reply) {
  fuse_attr_out out{};
  out.attr_valid = kForever;
  out.attr = attributes_of_node(request.header.nodeid);
  reply.put(out);
  return 0;
}

int FuseResponder::read_link(const Request& request, FuseReply& reply) {
  const std::string target = reader_.symlink_target(ref_of(request.header.nodeid));
  if (recorder_ != nullptr) recorder_->link(request.header.nodeid);
  return answer_target(target, reply);
}

int FuseResponder::open_file(const Request&, FuseReply& reply) {
  return answer_open((kernel_flags_ & FUSE_NO_OPEN_SUPPORT) != 0, FOPEN_KEEP_CACHE, reply);
}

int FuseResponder::open_directory(const Request&, FuseReply& reply) {
  return answer_open((kernel_flags_ & FUSE_NO_OPENDIR_SUPPORT) != 0,
                     FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR, reply);
}

int FuseResponder::read_data(const Request& request, FuseReply& reply) {
  const auto in = parse<fuse_read_in>(request.body);
  if (added_.find(request.header.nodeid) != nullptr) return 0;  // empty
  if (recorder_ != nullptr) recorder_->read(request.header.nodeid, in.offset, in.size);
  const sif::InodeRef file = ref_of(request.header.nodeid);
  reply.set_size(reader_.read_file(file, in.offset, reply.body(in.size)));
  if (read_ahead_ != nullptr && in.offset == 0) read_ahead_->follow(file);
  return 0;
}

int FuseResponder::read_directory(const Request& request, FuseReply& reply) {
  const auto in = parse<fuse_read_in>(request.body);
  const std::uint64_t node_id = request.header.nodeid;
  DirectoryReply listing(reply, in.size, request.header.opcode == FUSE_READDIRPLUS);
  const auto nothing = [] { return fuse_entry_out{}; };
  const AddedNodes::Node* const added = added_.find(node_id);
  const sif::InodeAttributes self =
      reader_.attributes(added != nullptr ? reader_.root() : ref_of(node_id));
  const std::uint64_t own_number = added != nullptr ? attributes_of(*added).ino : self.inode_number;
  const std::uint64_t parent_number = added != nullptr ? attributes_of_node(added->parent).ino
                                      : node_id == FUSE_ROOT_ID ? self.inode_number
                                                                : self.parent_inode_number;
  // Offset 1 is behind ".", 2 behind "..", then come the listing's cookies, then what is added.
  if (in.offset == 0 && !listing.put({".", DT_DIR, own_number, 1}, nothing)) return EINVAL;
  if (in.offset <= 1 && !listing.put({"..", DT_DIR, parent_number, 2}, nothing)) return 0;
  if (recorder_ != nullptr && in.offset == 0) recorder_->list(node_id);
  bool has_room = true;
  if (added == nullptr && in.offset < kAddedOffset) {
    reader_.list(
        self.ref, in.offset < 2 ? 0 : in.offset - 2, [&](const sif::SquashfsReader::Entry& entry) {
          return has_room = listing.put({entry.name, type_bits(entry.type).entry,
                                         entry.inode_number, entry.next_cookie + 2},
                                        [&] {
                                          const auto known = entry_or_nothing(entry.ref);
                                          if (recorder_ != nullptr)
                                            recorder_->mention(node_id, entry.name, known.nodeid);
                                          return known;
                                        });
        });
  }
  const std::span<const AddedNodes::Node> all = added_.all();
  for (std::uint64_t i = in.offset < kAddedOffset ? 0 : in.offset - kAddedOffset;
       has_room && i < all.size(); ++i) {
    if (all[i].parent != node_id) continue;
    const fuse_entry_out entry = entry_of(all[i]);
    has_room = listing.put(
        {all[i].name, all[i].is_directory ? DT_DIR : DT_REG, entry.attr.ino, kAddedOffset + i + 1},
        [&] { return entry; });
  }
  return 0;
}

// One corrupt inode must not hide its siblings; a lookup of it will say EIO.
fuse_entry_out FuseResponder::entry_or_nothing(sif::InodeRef ref) const {
  try {
    return entry_of(reader_.attributes(ref));
  } catch (const base::Error&) {
    return {};
  }
}

int FuseResponder::get_xattr(const Request& request, FuseReply& reply) {
  if (!reader_.has_xattrs()) return ENOSYS;
  if (added_.find(request.header.nodeid) != nullptr) return ENODATA;
  const auto in = parse<fuse_getxattr_in>(request.body);
  if (request.body.size() < sizeof(in)) return EINVAL;
  const std::string_view name = parse_name(request.body.subspan(sizeof(in)));
  const auto all = reader_.xattrs(reader_.attributes(ref_of(request.header.nodeid)));
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& xattr) { return xattr.first == name; });
  if (found == all.end()) return ENODATA;
  return put_sized(in.size, found->second, reply);
}

int FuseResponder::list_xattrs(const Request& request, FuseReply& reply) {
  if (!reader_.has_xattrs()) return ENOSYS;
  const auto in = parse<fuse_getxattr_in>(request.body);
  if (added_.find(request.header.nodeid) != nullptr) return put_sized(in.size, "", reply);
  std::string names;
  for (const auto& [name, value] :
       reader_.xattrs(reader_.attributes(ref_of(request.header.nodeid)))) {
    // As in-kernel file systems: what only root may read is not listed to others.
    if (request.header.uid != 0 && name.starts_with(kTrustedPrefix)) continue;
    names += name;
    names += '\0';
  }
  return put_sized(in.size, names, reply);
}

int FuseResponder::file_system_status(const Request&, FuseReply& reply) {
  fuse_statfs_out out{};
  out.st.bsize = out.st.frsize = reader_.block_size();
  out.st.blocks = (reader_.bytes_used() + reader_.block_size() - 1) / reader_.block_size();
  out.st.files = reader_.inode_count();
  out.st.namelen = kMaxName;
  reply.put(out);
  return 0;
}

int FuseResponder::succeed(const Request&, FuseReply&) { return 0; }
int FuseResponder::refuse_write(const Request&, FuseReply&) { return EROFS; }

}  // namespace runtime
