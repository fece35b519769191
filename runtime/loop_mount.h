// SPDX-License-Identifier: Apache-2.0
// Mounts an image with the kernel's own squashfs driver over a loop device: root only, on request
// (--image-driver kernel), since a hostile image meets the kernel's parser then.
#pragma once

#include <string>

#include "sif/sif_reader.h"

namespace runtime {

// Mounts at the directory `target` (ro, nosuid, nodev) of the calling process's mount namespace.
// The loop device frees itself with the last mount. Throws Error.
void mount_with_kernel(const sif::ImageFile& image, const std::string& target);

}  // namespace runtime
