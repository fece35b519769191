// SPDX-License-Identifier: Apache-2.0
// Inodes in libsquashfs's form, for sif/libsquashfs_adapter alone.
#pragma once

#include <sqfs/inode.h>

#include <cstdint>
#include <memory>

#include "sif/libsquashfs_adapter.h"

namespace sif {

struct SqfsFree {
  void operator()(void* block) const;
};
using SqfsInode = std::unique_ptr<sqfs_inode_generic_t, SqfsFree>;

// Type and permission bits as squashfs stores them.
std::uint16_t format_mode(const Inode& inode);

// Anything but a directory; owner, time and number are still to be filled in. The smallest form
// that holds it.
SqfsInode make_inode(const NewInode& record);

// An index is optional. One of more entries than its 16-bit count can say (names that are links to
// inodes all over the image make a run of entries each) would have wrapped around.
void drop_index_if_too_long(sqfs_inode_generic_t& inode);

}  // namespace sif
