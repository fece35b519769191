// SPDX-License-Identifier: Apache-2.0
// Answers FUSE requests about one ext file system, writing ones included, without touching the
// device: request bytes in, reply bytes out. Node ids are inode numbers, the root's apart. What the
// kernel knows of is counted: an inode without names is freed when the kernel forgets it.
#pragma once

#include <linux/fuse.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_set>

#include "ext/file_system.h"
#include "runtime/fuse_operation.h"
#include "runtime/fuse_reply.h"
#include "runtime/fuse_responder.h"
#include "runtime/known_inodes.h"

namespace runtime {

// Requests may be this long: a write with its header.
inline constexpr std::size_t kLongestExtRequest = (1 << 20) + FUSE_MIN_READ_BUFFER;

// A layer of an overlay has the kernel's marks in place of fuse-overlayfs's.
enum class ExtRole { plain, layer };

// Not thread-safe. The file system is borrowed.
class ExtResponder {
 public:
  ExtResponder(ext::FileSystem& file_system, ext::Access access, ExtRole role, FuseOptions options)
      : file_system_(file_system),
        is_writable_(access == ext::Access::read_write),
        role_(role),
        options_(options) {}

  // Gives the bytes to write back; empty for requests that want no answer. Never throws.
  std::span<const std::byte> answer(std::span<const std::byte> request, FuseReply& reply);

  // A LOOKUP whose answer depends on who asks, see runtime/removed_names.
  struct Ambiguous {
    std::uint64_t directory;
    std::string_view name;
  };
  std::optional<Ambiguous> find_ambiguous(std::span<const std::byte> request) const;
  // The answer if that is a program, as it is likely unless it asks the same again.
  std::span<const std::byte> answer_program(std::span<const std::byte> request, FuseReply& reply);
  bool asks_again(std::span<const std::byte> request) const;
  // The answer if the kernel confirms a name that it knows.
  std::span<const std::byte> confirm(std::span<const std::byte> request, FuseReply& reply);

 private:
  using Request = FuseRequest;
  static const FuseOperation<ExtResponder> kOperations[];

  int initialize(const Request& request, FuseReply& reply);
  int lookup(const Request& request, FuseReply& reply);
  int get_attributes(const Request& request, FuseReply& reply);
  int set_attributes(const Request& request, FuseReply& reply);
  int read_link(const Request& request, FuseReply& reply);
  int make_symlink(const Request& request, FuseReply& reply);
  int make_node(const Request& request, FuseReply& reply);
  int make_directory(const Request& request, FuseReply& reply);
  int make_unnamed(const Request& request, FuseReply& reply);
  int unlink(const Request& request, FuseReply& reply);
  int remove_directory(const Request& request, FuseReply& reply);
  int rename(const Request& request, FuseReply& reply);
  int rename_with_flags(const Request& request, FuseReply& reply);
  int link(const Request& request, FuseReply& reply);
  int open_file(const Request& request, FuseReply& reply);
  int open_directory(const Request& request, FuseReply& reply);
  int read_data(const Request& request, FuseReply& reply);
  int write_data(const Request& request, FuseReply& reply);
  int read_directory(const Request& request, FuseReply& reply);
  int get_xattr(const Request& request, FuseReply& reply);
  int list_xattrs(const Request& request, FuseReply& reply);
  int set_xattr(const Request& request, FuseReply& reply);
  int remove_xattr(const Request& request, FuseReply& reply);
  int file_system_status(const Request& request, FuseReply& reply);
  int commit(const Request& request, FuseReply& reply);
  int succeed(const Request& request, FuseReply& reply);

  // Before anything in it is asked for.
  void look_into(ext::InodeNumber directory);
  void forget(std::span<const std::byte> request);
  void forget(std::uint64_t node_id, std::uint64_t count);
  // A name was made.
  void put_new_entry(ext::InodeNumber inode, NamedPlace place, FuseReply& reply);
  // The kernel is told of the inode, and will ask by its number.
  fuse_entry_out entry_of(ext::InodeNumber inode, NamedPlace place);
  fuse_attr attributes_of(const ext::Attributes& found) const;
  ext::NewInode new_inode(const Request& request, std::uint32_t mode, std::uint32_t device) const;
  // An inode has lost a name, perhaps its last.
  void note_lost_name(ext::InodeNumber inode, NamedPlace place);
  // Nobody uses an inode any more if it has no name and the kernel does not know it.
  void let_go(ext::InodeNumber inode);
  int move(const Request& request, std::uint64_t new_directory, std::span<const std::byte> names,
           ext::Rename how);
  void log_failure(const base::Error& error);

  ext::FileSystem& file_system_;
  const bool is_writable_;
  const ExtRole role_;
  const FuseOptions options_;
  std::uint32_t kernel_flags_ = 0;
  KnownInodes known_;                          // of file systems that are written to
  std::unordered_set<ext::InodeNumber> seen_;  // directories that were looked into
  unsigned logged_failures_ = 0;
};

}  // namespace runtime
