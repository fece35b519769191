// SPDX-License-Identifier: Apache-2.0
// A SIF's header and descriptors as siftool prints them.
#pragma once

#include <string>

#include "sif/sif_reader.h"

namespace cmd {

std::string sif_header_text(const sif::SifContainer& container);
std::string sif_list_text(const sif::SifContainer& container);
std::string sif_info_text(const sif::SifDescriptor& object);

}  // namespace cmd
