// SPDX-License-Identifier: Apache-2.0
// tar layers -> merged tree. Each layer becomes a tree of its own, as Docker unpacks it, and these
// are united as overlayfs does: so the result is what `docker export` shows.
#pragma once

#include "oci/layer.h"
#include "sif/tree.h"

namespace oci {

// Puts the layer on top of `tree`; lowest layer first. Pass the layer by std::move to save memory.
void apply_layer(sif::Tree& tree, Layer layer);

}  // namespace oci
