// SPDX-License-Identifier: Apache-2.0
// The requests that change an ext file system; the others are in ext_responder.cc.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <string>

#include "ext/overlay_marks.h"
#include "runtime/ext_request.h"
#include "runtime/ext_responder.h"

namespace runtime {
namespace {

mode_t without_set_ids(mode_t mode) {
  return mode & ~static_cast<mode_t>((mode & S_IXGRP) != 0 ? S_ISUID | S_ISGID : S_ISUID);
}

}  // namespace

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

ext::NewInode ExtResponder::new_inode(const Request& request, std::uint32_t mode,
                                      std::uint32_t device) const {
  return {mode, request.header.uid, request.header.gid, device};
}

int ExtResponder::make_node(const Request& request, FuseReply& reply) {
  const auto [in, rest] = parse_with_rest<fuse_mknod_in>(request.body);
  const std::string_view name = parse_name(rest);
  put_new_entry(file_system_.make(inode_of(request.header.nodeid), name,
                                  new_inode(request, in.mode, in.rdev)),
                place_of(request, name), reply);
  return 0;
}

int ExtResponder::make_directory(const Request& request, FuseReply& reply) {
  const auto [in, rest] = parse_with_rest<fuse_mkdir_in>(request.body);
  const std::string_view name = parse_name(rest);
  put_new_entry(file_system_.make(inode_of(request.header.nodeid), name,
                                  new_inode(request, S_IFDIR | (in.mode & 07777), 0)),
                place_of(request, name), reply);
  return 0;
}

int ExtResponder::make_symlink(const Request& request, FuseReply& reply) {
  const std::string_view name = parse_name(request.body);
  put_new_entry(file_system_.make_symlink(inode_of(request.header.nodeid), name,
                                          parse_name(behind_name(request.body)),
                                          new_inode(request, S_IFLNK | 0777, 0)),
                place_of(request, name), reply);
  return 0;
}

int ExtResponder::make_unnamed(const Request& request, FuseReply& reply) {
  const auto in = parse<fuse_create_in>(request.body);
  put_new_entry(file_system_.make_unnamed(new_inode(request, S_IFREG | (in.mode & 07777), 0)),
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
  put_new_entry(inode, place_of(request, name), reply);
  return 0;
}

int ExtResponder::unlink(const Request& request, FuseReply&) {
  const NamedPlace place = place_of(request, parse_name(request.body));
  note_lost_name(file_system_.unlink(place.directory, place.name), place);
  return 0;
}

int ExtResponder::remove_directory(const Request& request, FuseReply&) {
  let_go(file_system_.remove_directory(inode_of(request.header.nodeid), parse_name(request.body)));
  return 0;
}

int ExtResponder::move(const Request& request, std::uint64_t new_directory,
                       std::span<const std::byte> names, ext::Rename how) {
  const NamedPlace from = place_of(request, parse_name(names));
  const NamedPlace to{inode_of(new_directory), parse_name(behind_name(names))};
  const auto moved = file_system_.find_entry(from.directory, from.name);
  const auto other = file_system_.find_entry(to.directory, to.name);
  const auto replaced = file_system_.rename(from.directory, from.name, to.directory, to.name, how,
                                            new_inode(request, S_IFCHR, 0));
  if (moved) known_.move(*moved, from, to);
  if (other && how == ext::Rename::exchange) known_.move(*other, to, from);
  if (replaced) note_lost_name(*replaced, to);
  return 0;
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

int ExtResponder::set_xattr(const Request& request, FuseReply&) {
  const auto [in, rest] =
      parse_with_rest<fuse_setxattr_in>(request.body, FUSE_COMPAT_SETXATTR_IN_SIZE);
  const std::string name(parse_name(rest));
  const std::span<const std::byte> value = behind_name(rest);
  const ext::InodeNumber inode = inode_of(request.header.nodeid);
  if ((in.flags & (XATTR_CREATE | XATTR_REPLACE)) != 0) {
    const bool exists = file_system_.find_xattr(inode, name).has_value();
    if ((in.flags & XATTR_CREATE) != 0 && exists) return EEXIST;
    if ((in.flags & XATTR_REPLACE) != 0 && !exists) return ENODATA;
  }
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

void ExtResponder::note_lost_name(ext::InodeNumber inode, NamedPlace place) {
  const ext::Attributes found = file_system_.attributes(inode);
  // Whiteouts are one file with many names, which overlays do not reach by any.
  const bool is_whiteout = S_ISCHR(found.mode) && found.device == 0;
  known_.lose_name(inode, place, found.link_count > 0 && !is_whiteout);
  let_go(inode);
}

void ExtResponder::let_go(ext::InodeNumber inode) {
  if (!is_writable_ || known_.contains(inode)) return;
  known_.drop(inode);
  seen_.erase(inode);
  try {
    file_system_.drop(inode);
  } catch (const base::Error& error) {
    log_failure(error);  // the name is gone all the same
  }
}

}  // namespace runtime
