// SPDX-License-Identifier: Apache-2.0
// An image's tree with what an overlay has changed in it: the kernel's layout of an upper layer
// (Documentation/filesystems/overlayfs.rst), where character devices 0:0 are whiteouts and the
// attribute overlay.opaque marks folders that hide those below.
#pragma once

#include "sif/tree.h"

namespace sif {

// Changes `image` to what the overlay shows of it with `upper` above. It has inodes of both then,
// so both must live. The root's owner stays the image's. Throws Error for
// layers that do not stand for themselves (overlay.redirect, overlay.metacopy).
void apply_changes(Tree& image, Tree& upper);

}  // namespace sif
