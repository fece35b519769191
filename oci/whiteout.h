// SPDX-License-Identifier: Apache-2.0
// How layers say that something of a lower layer is gone: marker files in the archive (OCI image
// specification, "Whiteouts").
#pragma once

#include <string_view>

namespace oci {

inline constexpr std::string_view kWhiteoutPrefix = ".wh.";  // .wh.NAME hides NAME
inline constexpr std::string_view kOpaqueMarker = ".wh..wh..opq";

}  // namespace oci
