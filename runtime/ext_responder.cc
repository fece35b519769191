// SPDX-License-Identifier: Apache-2.0
#include "runtime/ext_responder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "base/log.h"
#include "ext/overlay_marks.h"
#include "runtime/directory_reply.h"
#include "runtime/ext_request.h"

namespace runtime {
namespace {

constexpr std::uint32_t kMaxExtWrite = 1 << 20;
constexpr std::uint16_t kMaxExtBackground = 64;
constexpr std::uint32_t kReadFlags = FUSE_ASYNC_READ | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |
                                     FUSE_PARALLEL_DIROPS | FUSE_NO_OPEN_SUPPORT |
                                     FUSE_NO_OPENDIR_SUPPORT | FUSE_CACHE_SYMLINKS | FUSE_MAX_PAGES;
// Without FUSE_WRITEBACK_CACHE, with which a full image would be told by close(2) only; the kernel
// asks for no attribute at each write.
constexpr std::uint32_t kWriteFlags = FUSE_BIG_WRITES | FUSE_HANDLE_KILLPRIV_V2;

struct Lookup {
  fuse_in_header header;
  NamedPlace place;
};
Lookup parse_lookup(std::span<const std::byte> request) {
  const auto header = parse<fuse_in_header>(request);
  return {header, {inode_of(header.nodeid), parse_name(request.subspan(sizeof header))}};
}

// What programs ask for and are told without a fault of the file's.
bool is_ordinary(int errno_value) { return errno_value != EIO; }

}  // namespace

const FuseOperation<ExtResponder> ExtResponder::kOperations[] = {
    {FUSE_LOOKUP, &ExtResponder::lookup},
    {FUSE_READ, &ExtResponder::read_data},
    {FUSE_WRITE, &ExtResponder::write_data},
    {FUSE_GETATTR, &ExtResponder::get_attributes},
    {FUSE_SETATTR, &ExtResponder::set_attributes},
    {FUSE_GETXATTR, &ExtResponder::get_xattr},
    {FUSE_READLINK, &ExtResponder::read_link},
    {FUSE_READDIRPLUS, &ExtResponder::read_directory},
    {FUSE_READDIR, &ExtResponder::read_directory},
    {FUSE_MKNOD, &ExtResponder::make_node},
    {FUSE_MKDIR, &ExtResponder::make_directory},
    {FUSE_SYMLINK, &ExtResponder::make_symlink},
    {FUSE_LINK, &ExtResponder::link},
    {FUSE_TMPFILE, &ExtResponder::make_unnamed},
    {FUSE_UNLINK, &ExtResponder::unlink},
    {FUSE_RMDIR, &ExtResponder::remove_directory},
    {FUSE_RENAME, &ExtResponder::rename},
    {FUSE_RENAME2, &ExtResponder::rename_with_flags},
    {FUSE_OPEN, &ExtResponder::open_file},
    {FUSE_OPENDIR, &ExtResponder::open_directory},
    {FUSE_LISTXATTR, &ExtResponder::list_xattrs},
    {FUSE_SETXATTR, &ExtResponder::set_xattr},
    {FUSE_REMOVEXATTR, &ExtResponder::remove_xattr},
    {FUSE_STATFS, &ExtResponder::file_system_status},
    {FUSE_FSYNC, &ExtResponder::commit},
    {FUSE_FSYNCDIR, &ExtResponder::commit},
    {FUSE_SYNCFS, &ExtResponder::commit},
    {FUSE_INIT, &ExtResponder::initialize},
    {FUSE_RELEASE, &ExtResponder::succeed},
    {FUSE_RELEASEDIR, &ExtResponder::succeed},
    {FUSE_DESTROY, &ExtResponder::succeed},
    {FUSE_INTERRUPT, nullptr},
};

std::span<const std::byte> ExtResponder::answer(std::span<const std::byte> request,
                                                FuseReply& reply) {
  if (request.size() >= sizeof(fuse_in_header)) {
    const std::uint32_t opcode = parse<fuse_in_header>(request).opcode;
    if (opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET) {
      forget(request);
      return {};
    }
  }
  return answer_by_table(*this, kOperations, request, reply,
                         [&](const base::Error& error) { log_failure(error); });
}

std::optional<ExtResponder::Ambiguous> ExtResponder::find_ambiguous(
    std::span<const std::byte> request) const {
  if (request.size() < sizeof(fuse_in_header)) return std::nullopt;
  if (parse<fuse_in_header>(request).opcode != FUSE_LOOKUP) return std::nullopt;
  const auto [header, place] = parse_lookup(request);
  if (!known_.may_confirm(place)) return std::nullopt;
  return Ambiguous{header.nodeid, place.name};
}

bool ExtResponder::asks_again(std::span<const std::byte> request) const {
  const auto [header, place] = parse_lookup(request);
  return known_.was_told_wrongly(place, header.pid);
}

std::span<const std::byte> ExtResponder::answer_program(std::span<const std::byte> request,
                                                        FuseReply& reply) {
  const std::span<const std::byte> bytes = answer(request, reply);
  const auto [header, place] = parse_lookup(request);
  ext::InodeNumber found = 0;
  if (parse<fuse_out_header>(bytes).error == 0)
    found = inode_of(parse<fuse_entry_out>(bytes.subspan(sizeof(fuse_out_header))).nodeid);
  known_.note_answer(place, found, header.pid);
  return bytes;
}

std::span<const std::byte> ExtResponder::confirm(std::span<const std::byte> request,
                                                 FuseReply& reply) {
  const auto [header, place] = parse_lookup(request);
  reply.clear();
  int errno_value = 0;
  try {
    const auto present = file_system_.find_entry(place.directory, place.name);
    const auto inode = known_.guess(place, present, header.pid);
    if (!inode) return answer(request, reply);
    reply.put(entry_of(*inode, place));
  } catch (const base::Error& error) {
    errno_value = EIO;
    log_failure(error);
  }
  return reply.finish(header.unique, errno_value);
}

void ExtResponder::log_failure(const base::Error& error) {
  if (is_ordinary(error.errno_value()) || ++logged_failures_ > kMaxLoggedFailures) return;
  base::log_warning(error.what());
}

void ExtResponder::forget(std::span<const std::byte> request) {
  const auto header = parse<fuse_in_header>(request);
  const std::span<const std::byte> body = request.subspan(sizeof header);
  try {
    if (header.opcode == FUSE_FORGET)
      return forget(header.nodeid, parse<fuse_forget_in>(body).nlookup);
    auto [in, rest] = parse_with_rest<fuse_batch_forget_in>(body);
    for (; in.count > 0 && rest.size() >= sizeof(fuse_forget_one); --in.count) {
      const auto [one, others] = parse_with_rest<fuse_forget_one>(rest);
      forget(one.nodeid, one.nlookup);
      rest = others;
    }
  } catch (const base::Error& error) {
    log_failure(error);
  }
}

void ExtResponder::forget(std::uint64_t node_id, std::uint64_t count) {
  const ext::InodeNumber inode = inode_of(node_id);
  if (known_.forget(inode, count)) let_go(inode);
}

int ExtResponder::initialize(const Request& request, FuseReply& reply) {
  const auto in = parse<fuse_init_in>(request.body);
  fuse_init_out out{};
  out.major = FUSE_KERNEL_VERSION;
  out.minor = FUSE_KERNEL_MINOR_VERSION;
  if (in.major == FUSE_KERNEL_VERSION) {
    kernel_flags_ = in.flags;
    out.flags = in.flags & (is_writable_ ? kReadFlags | kWriteFlags : kReadFlags);
    out.max_readahead = in.max_readahead;
    out.max_background = kMaxExtBackground;
    out.congestion_threshold = kMaxExtBackground / 4 * 3;
    out.max_write = kMaxExtWrite;
    out.time_gran = file_system_.has_nanoseconds() ? 1 : 1'000'000'000;
    const auto page_bytes = static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE));
    out.max_pages = static_cast<std::uint16_t>(std::max(1U, kMaxExtWrite / page_bytes));
  }
  reply.put(out);
  return 0;
}

fuse_attr ExtResponder::attributes_of(const ext::Attributes& found) const {
  fuse_attr out{};
  out.ino = found.inode;
  out.size = found.size;
  out.blocks = found.sectors;
  const auto put = [](const ext::Time& time, std::uint64_t& seconds, std::uint32_t& nanoseconds) {
    seconds = static_cast<std::uint64_t>(time.seconds);
    nanoseconds = time.nanoseconds;
  };
  put(found.accessed, out.atime, out.atimensec);
  put(found.modified, out.mtime, out.mtimensec);
  put(found.changed, out.ctime, out.ctimensec);
  out.mode = found.mode;
  out.nlink = found.link_count;
  out.uid = options_.owner ? options_.owner->uid : found.uid;
  out.gid = options_.owner ? options_.owner->gid : found.gid;
  out.rdev = found.device;
  out.blksize = kRequestBytes;  // what programs read and write at a time
  return out;
}

fuse_entry_out ExtResponder::entry_of(ext::InodeNumber inode, NamedPlace place) {
  if (inode == ext::kRootInode)
    throw base::Error("corrupt ext file system: a directory contains the root directory", EIO);
  fuse_entry_out out{};
  const ext::Attributes found = file_system_.attributes(inode);
  out.attr = attributes_of(found);
  out.generation = found.generation;
  out.nodeid = inode;
  out.entry_valid = out.attr_valid = kForever;
  if (is_writable_) known_.add(inode, place);
  return out;
}

void ExtResponder::put_new_entry(ext::InodeNumber inode, NamedPlace place, FuseReply& reply) {
  known_.note_change(place);
  reply.put(entry_of(inode, place));
}

// An overlay in a user namespace understands the kernel's marks only.
void ExtResponder::look_into(ext::InodeNumber directory) {
  if (role_ != ExtRole::layer || !seen_.insert(directory).second) return;
  try {
    ext::use_kernel_marks(file_system_, directory);
  } catch (const base::Error& error) {
    log_failure(error);  // full: they stay as they are
  }
}

int ExtResponder::lookup(const Request& request, FuseReply& reply) {
  const std::string_view name = parse_name(request.body);
  if (name.size() > kMaxName) return ENAMETOOLONG;
  look_into(inode_of(request.header.nodeid));
  const auto found = file_system_.find_entry(inode_of(request.header.nodeid), name);
  fuse_entry_out out{};
  out.entry_valid = kForever;  // with node id 0: absence is remembered, too
  if (found) out = entry_of(*found, place_of(request, name));
  reply.put(out);
  return 0;
}

int ExtResponder::get_attributes(const Request& request, FuseReply& reply) {
  fuse_attr_out out{};
  out.attr_valid = kForever;
  out.attr = attributes_of(file_system_.attributes(inode_of(request.header.nodeid)));
  reply.put(out);
  return 0;
}

int ExtResponder::read_link(const Request& request, FuseReply& reply) {
  return answer_target(file_system_.symlink_target(inode_of(request.header.nodeid)), reply);
}

int ExtResponder::open_file(const Request&, FuseReply& reply) {
  return answer_open((kernel_flags_ & FUSE_NO_OPEN_SUPPORT) != 0, FOPEN_KEEP_CACHE, reply);
}

int ExtResponder::open_directory(const Request&, FuseReply& reply) {
  return answer_open((kernel_flags_ & FUSE_NO_OPENDIR_SUPPORT) != 0,
                     FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR, reply);
}

int ExtResponder::read_data(const Request& request, FuseReply& reply) {
  const auto in = parse<fuse_read_in>(request.body);
  reply.set_size(
      file_system_.read(inode_of(request.header.nodeid), in.offset, reply.body(in.size)));
  return 0;
}

int ExtResponder::read_directory(const Request& request, FuseReply& reply) {
  const auto in = parse<fuse_read_in>(request.body);
  look_into(inode_of(request.header.nodeid));
  DirectoryReply listing(reply, in.size, request.header.opcode == FUSE_READDIRPLUS);
  file_system_.list(
      inode_of(request.header.nodeid), in.offset, [&](const ext::FileSystem::Entry& entry) {
        const bool is_special = entry.name == "." || entry.name == "..";
        return listing.put({entry.name, entry.type, entry.inode, entry.next_cookie}, [&] {
          if (is_special) return fuse_entry_out{};
          try {
            return entry_of(entry.inode, place_of(request, entry.name));
          } catch (const base::Error&) {
            // It must not hide its siblings; a lookup of it will say EIO.
            return fuse_entry_out{};
          }
        });
      });
  return 0;
}

int ExtResponder::get_xattr(const Request& request, FuseReply& reply) {
  const auto [in, rest] = parse_with_rest<fuse_getxattr_in>(request.body);
  const ext::InodeNumber inode = inode_of(request.header.nodeid);
  const std::string name(parse_name(rest));
  if (ext::is_opaque_mark(name) && S_ISDIR(file_system_.attributes(inode).mode)) look_into(inode);
  const auto value = ext::find_layer_xattr(file_system_, inode, name);
  return value ? put_sized(in.size, *value, reply) : ENODATA;
}

int ExtResponder::list_xattrs(const Request& request, FuseReply& reply) {
  const auto in = parse<fuse_getxattr_in>(request.body);
  std::string names;
  for (const std::string& name :
       ext::layer_xattr_names(file_system_, inode_of(request.header.nodeid)))
    names += name + '\0';
  return put_sized(in.size, names, reply);
}

int ExtResponder::file_system_status(const Request&, FuseReply& reply) {
  const ext::Statistics statistics = file_system_.statistics();
  fuse_statfs_out out{};
  out.st.bsize = out.st.frsize = static_cast<std::uint32_t>(statistics.block_size);
  out.st.blocks = statistics.blocks;
  out.st.bfree = out.st.bavail = statistics.free_blocks;
  out.st.files = statistics.inodes;
  out.st.ffree = statistics.free_inodes;
  out.st.namelen = 255;
  reply.put(out);
  return 0;
}

int ExtResponder::commit(const Request&, FuseReply&) {
  if (is_writable_) file_system_.commit();
  return 0;
}

int ExtResponder::succeed(const Request&, FuseReply&) { return 0; }

}  // namespace runtime
