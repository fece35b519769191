// SPDX-License-Identifier: Apache-2.0
// The body of an answer to READDIR and READDIRPLUS, entry by entry, as linux/fuse.h lays it out.
#pragma once

#include <linux/fuse.h>

#include <cstdint>
#include <functional>
#include <string_view>

#include "runtime/fuse_reply.h"

namespace runtime {

class DirectoryReply {
 public:
  // `size` is what the request has room for. With attributes each entry is a lookup, too.
  DirectoryReply(FuseReply& reply, std::uint32_t size, bool with_attributes)
      : reply_(reply), size_(size), with_attributes_(with_attributes) {}

  struct Entry {
    std::string_view name;
    std::uint32_t type;  // d_type of readdir(3)
    std::uint64_t inode_number;
    std::uint64_t next_offset;  // resume after this entry
  };
  // `attributes` is asked only where they are wanted; node id 0 in it says "to be looked up before
  // use". False if there is no room left: then nothing was added.
  bool put(const Entry& entry, const std::function<fuse_entry_out()>& attributes);

 private:
  FuseReply& reply_;
  const std::uint32_t size_;
  const bool with_attributes_;
};

}  // namespace runtime
