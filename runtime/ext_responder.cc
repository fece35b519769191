// SPDX-License-Identifier: Apache-2.0
#include "runtime/ext_responder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <functional>
#include <string_view>

#include "base/log.h"
#include "ext/overlay_marks.h"
#include "runtime/directory_reply.h"

namespace runtime {
namespace {

// Nobody else changes the file system while it is served: the kernel may keep what it learned.
constexpr std::uint64_t kForever = 10ULL * 365 * 24 * 3600;
constexpr std::uint32_t kMaxWrite = 1 << 20;
constexpr std::uint16_t kMaxBackground = 64;
constexpr unsigned kMaxLoggedFailures = 20;
constexpr std::uint32_t kReadFlags = FUSE_ASYNC_READ | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |
                                     FUSE_PARALLEL_DIROPS | FUSE_NO_OPEN_SUPPORT |
                                     FUSE_NO_OPENDIR_SUPPORT | FUSE_CACHE_SYMLINKS | FUSE_MAX_PAGES;
// Without FUSE_WRITEBACK_CACHE, with which a full image would be told by close(2) only; the kernel
// asks for no attribute at each write.
constexpr std::uint32_t kWriteFlags = FUSE_BIG_WRITES | FUSE_HANDLE_KILLPRIV_V2;

ext::InodeNumber inode_of(std::uint64_t node_id) {
  return node_id == FUSE_ROOT_ID ? ext::kRootInode : static_cast<ext::InodeNumber>(node_id);
}

// The header of a request and the names behind it.
template <typename T>
struct Parsed {
  T in;
  std::span<const std::byte> rest;
};
template <typename T>
Parsed<T> parse_with_rest(std::span<const std::byte> body, std::size_t size = sizeof(T)) {
  return {parse<T>(body.first(std::min(size, body.size()))),
          body.subspan(std::min(size, body.size()))};
}

std::uint64_t place_of(ext::InodeNumber directory, std::string_view name) {
  return std::hash<std::string_view>()(name) * 31 + directory;
}
std::uint64_t place_of(const FuseRequest& request, std::string_view name) {
  return place_of(inode_of(request.header.nodeid), name);
}

std::span<const std::byte> behind_name(std::span<const std::byte> names) {
  return names.subspan(std::min(parse_name(names).size() + 1, names.size()));
}

mode_t without_set_ids(mode_t mode) {
  return mode & ~static_cast<mode_t>((mode & S_IXGRP) != 0 ? S_ISUID | S_ISGID : S_ISUID);
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
  if (removed_.empty() || request.size() < sizeof(fuse_in_header)) return std::nullopt;
  const auto header = parse<fuse_in_header>(request);
  const std::string_view name = parse_name(request.subspan(sizeof header));
  if (header.opcode != FUSE_LOOKUP || !removed_.contains(inode_of(header.nodeid), name))
    return std::nullopt;
  return Ambiguous{header.nodeid, name};
}

std::span<const std::byte> ExtResponder::confirm(std::span<const std::byte> request,
                                                 FuseReply& reply) {
  const auto header = parse<fuse_in_header>(request);
  const ext::InodeNumber directory = inode_of(header.nodeid);
  const std::string_view name = parse_name(request.subspan(sizeof header));
  reply.clear();
  int errno_value = 0;
  try {
    const auto inode = removed_.guess(directory, name, file_system_.find_entry(directory, name));
    if (!inode) return answer(request, reply);
    put_entry(*inode, place_of(directory, name), reply);
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
  const auto known = known_.find(inode_of(node_id));
  if (known == known_.end()) return;
  if (!removed_.empty()) removed_.note_forgotten(known->first);
  known->second.count -= std::min(known->second.count, count);
  if (known->second.count > 0) return;
  const ext::InodeNumber inode = known->first;
  known_.erase(known);
  if (!removed_.empty()) removed_.remove_all(inode);
  let_go(inode);
}

void ExtResponder::lose_name(ext::InodeNumber inode, ext::InodeNumber directory,
                             std::string_view name) {
  const ext::Attributes found = file_system_.attributes(inode);
  // Whiteouts are one file with many names, which overlays do not reach by any.
  const bool is_whiteout = S_ISCHR(found.mode) && found.device == 0;
  const auto known = known_.find(inode);
  if (found.link_count > 0 && !is_whiteout && known != known_.end()) {
    removed_.add(directory, name, inode, known->second.place == place_of(directory, name));
  } else if (!removed_.empty()) {
    removed_.remove_all(inode);
  }
  let_go(inode);
}

void ExtResponder::let_go(ext::InodeNumber inode) {
  if (!is_writable_ || known_.contains(inode)) return;
  if (!removed_.empty()) removed_.remove_in(inode);
  seen_.erase(inode);
  try {
    file_system_.drop(inode);
  } catch (const base::Error& error) {
    log_failure(error);  // the name is gone all the same
  }
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
    out.max_background = kMaxBackground;
    out.congestion_threshold = kMaxBackground / 4 * 3;
    out.max_write = kMaxWrite;
    out.time_gran = file_system_.has_nanoseconds() ? 1 : 1'000'000'000;
    const auto page_bytes = static_cast<std::uint32_t>(::sysconf(_SC_PAGESIZE));
    out.max_pages = static_cast<std::uint16_t>(std::max(1U, kMaxWrite / page_bytes));
  }
  reply.put(out);
  return 0;
}

fuse_attr ExtResponder::attributes_of(ext::InodeNumber inode) {
  const ext::Attributes found = file_system_.attributes(inode);
  fuse_attr out{};
  out.ino = inode;
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
  out.blksize = static_cast<std::uint32_t>(file_system_.statistics().block_size);
  return out;
}

fuse_entry_out ExtResponder::entry_of(ext::InodeNumber inode, std::uint64_t place) {
  if (inode == ext::kRootInode)
    throw base::Error("corrupt ext file system: a directory contains the root directory", EIO);
  fuse_entry_out out{};
  out.attr = attributes_of(inode);
  out.generation = file_system_.attributes(inode).generation;
  out.nodeid = inode;
  out.entry_valid = out.attr_valid = kForever;
  if (is_writable_) {
    Known& known = known_[inode];
    if (++known.count == 1) known.place = place;
  }
  return out;
}

void ExtResponder::put_entry(ext::InodeNumber inode, std::uint64_t place, FuseReply& reply) {
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
  look_into(inode_of(request.header.nodeid));
  const auto found =
      file_system_.find_entry(inode_of(request.header.nodeid), parse_name(request.body));
  fuse_entry_out out{};
  out.entry_valid = kForever;  // with node id 0: absence is remembered, too
  if (found) out = entry_of(*found, place_of(request, parse_name(request.body)));
  reply.put(out);
  return 0;
}

int ExtResponder::get_attributes(const Request& request, FuseReply& reply) {
  fuse_attr_out out{};
  out.attr_valid = kForever;
  out.attr = attributes_of(inode_of(request.header.nodeid));
  reply.put(out);
  return 0;
}

int ExtResponder::set_attributes(const Request& request, FuseReply& reply) {
  const auto in = parse<fuse_setattr_in>(request.body);
  const ext::InodeNumber inode = inode_of(request.header.nodeid);
  const auto has = [&](std::uint32_t flag) { return (in.valid & flag) != 0; };
  ext::AttributeChanges changes;
  if (has(FATTR_MODE)) changes.mode = in.mode;
  if (has(FATTR_UID)) changes.uid = in.uid;
  if (has(FATTR_GID)) changes.gid = in.gid;
  if (has(FATTR_SIZE)) changes.size = in.size;
  if (has(FATTR_KILL_SUIDGID) && !changes.mode)
    changes.mode = without_set_ids(file_system_.attributes(inode).mode);
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const auto time = [&](bool is_now, std::uint64_t seconds, std::uint32_t nanoseconds) {
    return is_now ? ext::Time{now.tv_sec, static_cast<std::uint32_t>(now.tv_nsec)}
                  : ext::Time{static_cast<std::int64_t>(seconds), nanoseconds};
  };
  if (has(FATTR_ATIME)) changes.accessed = time(has(FATTR_ATIME_NOW), in.atime, in.atimensec);
  if (has(FATTR_MTIME)) changes.modified = time(has(FATTR_MTIME_NOW), in.mtime, in.mtimensec);
  if (has(FATTR_CTIME)) changes.changed = time(false, in.ctime, in.ctimensec);
  file_system_.change(inode, changes);
  return get_attributes(request, reply);
}

int ExtResponder::read_link(const Request& request, FuseReply& reply) {
  const std::string target = file_system_.symlink_target(inode_of(request.header.nodeid));
  // The kernel hands out at most a page and would cut silently.
  if (target.size() >= static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))) return ENAMETOOLONG;
  reply.append(std::as_bytes(std::span(target)));
  return 0;
}

ext::NewInode ExtResponder::new_inode(const Request& request, std::uint32_t mode,
                                      std::uint32_t device) const {
  return {mode, request.header.uid, request.header.gid, device};
}

int ExtResponder::make_node(const Request& request, FuseReply& reply) {
  const auto [in, rest] = parse_with_rest<fuse_mknod_in>(request.body);
  const std::string_view name = parse_name(rest);
  put_entry(file_system_.make(inode_of(request.header.nodeid), name,
                              new_inode(request, in.mode, in.rdev)),
            place_of(request, name), reply);
  return 0;
}

int ExtResponder::make_directory(const Request& request, FuseReply& reply) {
  const auto [in, rest] = parse_with_rest<fuse_mkdir_in>(request.body);
  const std::string_view name = parse_name(rest);
  put_entry(file_system_.make(inode_of(request.header.nodeid), name,
                              new_inode(request, S_IFDIR | (in.mode & 07777), 0)),
            place_of(request, name), reply);
  return 0;
}

int ExtResponder::make_symlink(const Request& request, FuseReply& reply) {
  const std::string_view name = parse_name(request.body);
  put_entry(file_system_.make_symlink(inode_of(request.header.nodeid), name,
                                      parse_name(behind_name(request.body)),
                                      new_inode(request, S_IFLNK | 0777, 0)),
            place_of(request, name), reply);
  return 0;
}

int ExtResponder::make_unnamed(const Request& request, FuseReply& reply) {
  const auto in = parse<fuse_create_in>(request.body);
  put_entry(file_system_.make_unnamed(new_inode(request, S_IFREG | (in.mode & 07777), 0)),
            place_of(request, {}), reply);
  fuse_open_out opened{};
  opened.open_flags = FOPEN_KEEP_CACHE;
  reply.put(opened);
  return 0;
}

int ExtResponder::link(const Request& request, FuseReply& reply) {
  const auto [in, rest] = parse_with_rest<fuse_link_in>(request.body);
  const ext::InodeNumber inode = inode_of(in.oldnodeid);
  const std::string_view name = parse_name(rest);
  file_system_.link(inode, inode_of(request.header.nodeid), name);
  put_entry(inode, place_of(request, name), reply);
  return 0;
}

int ExtResponder::unlink(const Request& request, FuseReply&) {
  const ext::InodeNumber directory = inode_of(request.header.nodeid);
  const std::string_view name = parse_name(request.body);
  lose_name(file_system_.unlink(directory, name), directory, name);
  return 0;
}

int ExtResponder::remove_directory(const Request& request, FuseReply&) {
  let_go(file_system_.remove_directory(inode_of(request.header.nodeid), parse_name(request.body)));
  return 0;
}

int ExtResponder::move(const Request& request, std::uint64_t new_directory,
                       std::span<const std::byte> names, ext::Rename how) {
  const ext::InodeNumber from = inode_of(request.header.nodeid), to = inode_of(new_directory);
  const std::string_view name = parse_name(names), new_name = parse_name(behind_name(names));
  const auto moved = file_system_.find_entry(from, name);
  const auto other = file_system_.find_entry(to, new_name);
  const auto replaced =
      file_system_.rename(from, name, to, new_name, how, new_inode(request, S_IFCHR, 0));
  if (moved) follow(*moved, place_of(from, name), place_of(to, new_name));
  if (other && how == ext::Rename::exchange)
    follow(*other, place_of(to, new_name), place_of(from, name));
  if (replaced) lose_name(*replaced, to, new_name);
  return 0;
}

void ExtResponder::follow(ext::InodeNumber inode, std::uint64_t from, std::uint64_t to) {
  const auto known = known_.find(inode);
  if (known != known_.end() && known->second.place == from) known->second.place = to;
}

int ExtResponder::rename(const Request& request, FuseReply&) {
  const auto [in, names] = parse_with_rest<fuse_rename_in>(request.body);
  return move(request, in.newdir, names, ext::Rename::replace);
}

int ExtResponder::rename_with_flags(const Request& request, FuseReply&) {
  const auto [in, names] = parse_with_rest<fuse_rename2_in>(request.body);
  switch (in.flags) {
    case 0:
      return move(request, in.newdir, names, ext::Rename::replace);
    case RENAME_NOREPLACE:
      return move(request, in.newdir, names, ext::Rename::no_replace);
    case RENAME_EXCHANGE:
      return move(request, in.newdir, names, ext::Rename::exchange);
    case RENAME_WHITEOUT:
      return move(request, in.newdir, names, ext::Rename::leave_whiteout);
    default:
      return EINVAL;
  }
}

// ENOSYS once means: files need no open and their pages stay cached. Older kernels must be told at
// each open.
int ExtResponder::open_file(const Request&, FuseReply& reply) {
  if ((kernel_flags_ & FUSE_NO_OPEN_SUPPORT) != 0) return ENOSYS;
  fuse_open_out out{};
  out.open_flags = FOPEN_KEEP_CACHE;
  reply.put(out);
  return 0;
}

int ExtResponder::open_directory(const Request&, FuseReply& reply) {
  if ((kernel_flags_ & FUSE_NO_OPENDIR_SUPPORT) != 0) return ENOSYS;
  fuse_open_out out{};
  out.open_flags = FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR;
  reply.put(out);
  return 0;
}

int ExtResponder::read_data(const Request& request, FuseReply& reply) {
  const auto in = parse<fuse_read_in>(request.body);
  reply.set_size(
      file_system_.read(inode_of(request.header.nodeid), in.offset, reply.body(in.size)));
  return 0;
}

int ExtResponder::write_data(const Request& request, FuseReply& reply) {
  const auto [in, data] = parse_with_rest<fuse_write_in>(request.body);
  const ext::InodeNumber inode = inode_of(request.header.nodeid);
  fuse_write_out out{};
  out.size = static_cast<std::uint32_t>(std::min<std::size_t>(in.size, data.size()));
  file_system_.write(inode, in.offset, data.first(out.size));
  if ((in.write_flags & FUSE_WRITE_KILL_SUIDGID) != 0) {
    ext::AttributeChanges changes;
    changes.mode = without_set_ids(file_system_.attributes(inode).mode);
    file_system_.change(inode, changes);
  }
  reply.put(out);
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

int ExtResponder::set_xattr(const Request& request, FuseReply&) {
  const auto [in, rest] =
      parse_with_rest<fuse_setxattr_in>(request.body, FUSE_COMPAT_SETXATTR_IN_SIZE);
  const std::string name(parse_name(rest));
  const std::span<const std::byte> value = behind_name(rest);
  const ext::InodeNumber inode = inode_of(request.header.nodeid);
  const bool exists = file_system_.find_xattr(inode, name).has_value();
  if ((in.flags & XATTR_CREATE) != 0 && exists) return EEXIST;
  if ((in.flags & XATTR_REPLACE) != 0 && !exists) return ENODATA;
  ext::set_layer_xattr(
      file_system_, inode, name,
      {reinterpret_cast<const char*>(value.data()), std::min<std::size_t>(in.size, value.size())});
  return 0;
}

int ExtResponder::remove_xattr(const Request& request, FuseReply&) {
  ext::remove_layer_xattr(file_system_, inode_of(request.header.nodeid),
                          std::string(parse_name(request.body)));
  return 0;
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
