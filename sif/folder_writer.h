// SPDX-License-Identifier: Apache-2.0
// A tree as files in a folder: what root can make, root gets exactly. Others get no owners, and an
// empty file in place of a device. Names are made by directory descriptor and never followed, so an
// image cannot write outside its folder.
#pragma once

#include <string>

#include "sif/squashfs_writer.h"
#include "sif/tree.h"

namespace sif {

struct FolderOptions {
  bool fix_permissions = false;  // u+rwx for folders, u+rw for files
};

// Fills the existing, empty folder `dir_fd`. Throws Error.
void write_folder(const Tree& tree, int dir_fd, const FolderOptions& options,
                  WriteProgress& progress);

}  // namespace sif
