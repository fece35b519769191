// SPDX-License-Identifier: Apache-2.0
// Extraction of an image into a folder of the caller's, for hosts without FUSE: everything in it is
// readable for its owner.
#pragma once

#include <string>

#include "sif/sif_reader.h"

namespace runtime {

// The folder that holds the image's tree, extracted now unless it was before. Concurrent calls
// for one image wait for each other; an interrupted one leaves nothing that counts.
std::string open_extracted_image(const sif::ImageFile& image, const std::string& cache_folder);

}  // namespace runtime
