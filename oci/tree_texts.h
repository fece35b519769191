// SPDX-License-Identifier: Apache-2.0
// What the /.singularity.d of a tree says about it, for the SIF's text objects.
#pragma once

#include <string>
#include <vector>

#include "sif/sif_writer.h"
#include "sif/tree.h"

namespace oci {

// The definition file and inspect-metadata.json. Files that are missing, or larger than a text
// makes sense, are left out.
std::vector<sif::SifText> texts_of_tree(const sif::Tree& tree);

// A digest of all names and metadata: what a tree without an identity of its own goes by.
std::string digest_of_tree(const sif::Tree& tree);

}  // namespace oci
