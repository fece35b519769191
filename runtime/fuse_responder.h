// SPDX-License-Identifier: Apache-2.0
// Answers FUSE requests about one squashfs image, without touching the device: request bytes in,
// reply bytes out. The protocol is the kernel's own (linux/fuse.h); node ids are inode positions,
// so nothing is remembered about what the kernel knows and FORGET costs nothing.
#pragma once

#include <linux/fuse.h>
#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/access_trace.h"
#include "runtime/added_nodes.h"
#include "runtime/fuse_operation.h"
#include "runtime/fuse_reply.h"
#include "runtime/read_ahead.h"
#include "sif/squashfs_reader.h"

namespace runtime {

// How the image is shown. A user namespace with one mapped id shows every other owner as nobody;
// `owner` shows all files as that user's instead, as Apptainer does.
struct FuseOptions {
  struct Owner {
    uid_t uid;
    gid_t gid;
  };
  std::optional<Owner> owner;
};

// Thread-safe; each thread brings its own FuseReply.
class FuseResponder {
 public:
  // Shows the added paths besides the image's own. Recorder and read-ahead, borrowed, are told what
  // is asked for.
  FuseResponder(const sif::SquashfsReader& reader, FuseOptions options,
                std::span<const AddedPath> added = {}, TraceRecorder* recorder = nullptr,
                ReadAhead* read_ahead = nullptr);

  // Gives the bytes to write back; empty for requests that want no answer. Never throws:
  // corruption is EIO and a log line.
  std::span<const std::byte> answer(std::span<const std::byte> request, FuseReply& reply);

  // Whether the kernel said so in FUSE_INIT.
  bool offers_io_uring() const { return offers_io_uring_; }

 private:
  using Request = FuseRequest;
  static const FuseOperation<FuseResponder> kOperations[];

  int initialize(const Request& request, FuseReply& reply);
  int lookup(const Request& request, FuseReply& reply);
  int get_attributes(const Request& request, FuseReply& reply);
  int read_link(const Request& request, FuseReply& reply);
  int open_file(const Request& request, FuseReply& reply);
  int open_directory(const Request& request, FuseReply& reply);
  int read_data(const Request& request, FuseReply& reply);
  int read_directory(const Request& request, FuseReply& reply);
  int get_xattr(const Request& request, FuseReply& reply);
  int list_xattrs(const Request& request, FuseReply& reply);
  int file_system_status(const Request& request, FuseReply& reply);
  int succeed(const Request& request, FuseReply& reply);
  int refuse_write(const Request& request, FuseReply& reply);

  sif::InodeRef ref_of(std::uint64_t node_id) const;
  std::uint64_t node_id_of(sif::InodeRef ref) const;
  fuse_attr attributes_of(const sif::InodeAttributes& inode) const;
  fuse_attr attributes_of(const AddedNodes::Node& node) const;
  fuse_attr attributes_of_node(std::uint64_t node_id) const;
  fuse_entry_out entry_of(const sif::InodeAttributes& inode) const;
  fuse_entry_out entry_of(const AddedNodes::Node& node) const;
  fuse_entry_out entry_or_nothing(sif::InodeRef ref) const;
  void log_failure(const char* text);

  const sif::SquashfsReader& reader_;
  const FuseOptions options_;
  AddedNodes added_;
  TraceRecorder* const recorder_;
  ReadAhead* const read_ahead_;
  std::atomic<std::uint32_t> kernel_flags_ = 0;
  std::atomic<bool> offers_io_uring_ = false;
  std::atomic<unsigned> logged_failures_ = 0;
};

}  // namespace runtime
