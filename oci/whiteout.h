// SPDX-License-Identifier: Apache-2.0
// How layers say that something of a lower layer is gone: marker files in the archive (OCI image
// specification, "Whiteouts") and the device that stands for one in a tree, as in overlayfs.
#pragma once

#include <string_view>

#include "sif/tree.h"

namespace oci {

inline constexpr std::string_view kWhiteoutPrefix = ".wh.";  // .wh.NAME hides NAME
inline constexpr std::string_view kOpaqueMarker = ".wh..wh..opq";

// overlayfs takes every character device 0:0 for a whiteout, so a layer's own one is one, too.
inline bool is_whiteout(const sif::Inode& inode) {
  return inode.type == sif::FileType::char_device && inode.device_major == 0 &&
         inode.device_minor == 0;
}

}  // namespace oci
