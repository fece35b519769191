// SPDX-License-Identifier: Apache-2.0
// A tree as files in a folder: what root can make, root gets exactly. Others get no owners, and an
// empty file in place of a device. Names are made by directory descriptor and never followed, so an
// image cannot write outside its folder.
#pragma once

#include <sys/types.h>

#include "sif/squashfs_writer.h"
#include "sif/tree.h"

namespace sif {

// Permissions that are added to what the tree has.
struct FolderOptions {
  mode_t of_folders = 0, of_files = 0;
};

// Fills the existing, empty folder `dir_fd`; where there are only zeros, files get holes. Throws
// Error.
void write_folder(const Tree& tree, int dir_fd, const FolderOptions& options,
                  WriteProgress& progress);

}  // namespace sif
