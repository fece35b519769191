// SPDX-License-Identifier: Apache-2.0
// The squashfs 4.0 on-disk format: constants and limits shared by writer and reader.
// Source: Linux fs/squashfs/squashfs_fs.h and Documentation/filesystems/squashfs.rst.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sif {

enum class Codec : std::uint16_t { gzip = 1, lzma = 2, lzo = 3, xz = 4, lz4 = 5, zstd = 6 };

const char* codec_name(Codec codec);

inline constexpr std::uint32_t kSquashfsMagic = 0x73717368;  // "hsqs"
inline constexpr std::uint32_t kSuperblockSize = 96;
inline constexpr std::uint32_t kMetadataBlockSize = 8192;
inline constexpr std::uint32_t kMinBlockSize = 4096;
inline constexpr std::uint32_t kMaxBlockSize = 1 << 20;
inline constexpr std::uint32_t kDefaultBlockSize = 128 << 10;
inline constexpr std::uint32_t kNoFragment = 0xFFFFFFFF;
inline constexpr std::uint32_t kNoXattr = 0xFFFFFFFF;
inline constexpr std::uint32_t kBlockStoredBit =
    1 << 24;  // in a data or fragment block size: not compressed
inline constexpr std::uint16_t kMetadataStoredBit =
    1 << 15;                                          // in a metadata block header: not compressed
inline constexpr std::uint32_t kMaxNameLength = 256;  // SQUASHFS_NAME_LEN; Linux names stop at 255
// Of extended attribute names; the position is the ID on disk.
inline constexpr std::array<std::string_view, 3> kXattrPrefixes = {"user.", "trusted.",
                                                                   "security."};
inline constexpr std::uint32_t kMaxXattrName = 255;  // Linux XATTR_NAME_MAX

// Device numbers on disk and in the FUSE protocol: 12 bits of major, 20 of minor (the kernel's
// new_encode_dev).
constexpr std::uint32_t packed_device(std::uint32_t major, std::uint32_t minor) {
  return (minor & 0xFF) | major << 8 | (minor & ~std::uint32_t{0xFF}) << 12;
}

}  // namespace sif
