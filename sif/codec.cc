// SPDX-License-Identifier: Apache-2.0
#include "sif/codec.h"

#include "base/error.h"

namespace sif {

const char* codec_name(Codec codec) {
  switch (codec) {
    case Codec::gzip:
      return "gzip";
    case Codec::lzma:
      return "lzma";
    case Codec::lzo:
      return "lzo";
    case Codec::xz:
      return "xz";
    case Codec::lz4:
      return "lz4";
    case Codec::zstd:
      return "zstd";
  }
  return "unknown";
}

}  // namespace sif
