// SPDX-License-Identifier: Apache-2.0
// Extraction of an image into a folder, for hosts without FUSE. Done as an ordinary user: no
// owners, no setuid bits, devices as empty files, everything readable for its owner. Names are
// created by directory descriptor and never followed, so an image cannot write outside its folder.
#pragma once

#include <string>

#include "sif/sif_reader.h"
#include "sif/squashfs_reader.h"

namespace runtime {

// Fills the existing, empty directory `dir_fd`. Throws Error (EIO for a corrupt image).
void extract_tree(const sif::SquashfsReader& reader, int dir_fd);

// The folder that holds the image's tree, extracted now unless it was before. Concurrent calls
// for one image wait for each other; an interrupted one leaves nothing that counts.
std::string open_extracted_image(const sif::ImageFile& image, const std::string& cache_folder);

}  // namespace runtime
