// SPDX-License-Identifier: Apache-2.0
// The format of jbd2's log, as Documentation/filesystems/ext4/journal.rst and include/linux/jbd2.h
// of the kernel's source tell it. All numbers are big-endian. Without the checksums of tags, which
// change their size.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ext::jbd2 {

inline constexpr std::uint32_t kMagic = 0xc03b3998;

// All blocks of the log but copies begin with magic, type and the transaction's sequence number.
enum BlockType : std::uint32_t {
  kDescriptor = 1,
  kCommit = 2,
  kSuperblockV1 = 3,
  kSuperblockV2 = 4,
  kRevoke = 5,
};
inline constexpr std::size_t kTypeAt = 4, kBlockSequenceAt = 8, kHeaderSize = 12;

// The superblock, the journal's block 0. Version 1 ends before the features.
inline constexpr std::size_t kBlockSizeAt = 0x0c, kLengthAt = 0x10, kFirstAt = 0x14,
                             kSequenceAt = 0x18, kStartAt = 0x1c, kCompatibleAt = 0x24,
                             kIncompatibleAt = 0x28, kReadOnlyCompatibleAt = 0x2c, kUuidAt = 0x30,
                             kUuidSize = 16, kSuperblockSize = 1024;
// Incompatible features.
inline constexpr std::uint32_t kRevokeFeature = 1, k64BitFeature = 2;

// A descriptor's tag: number of the block whose copy follows (32 bits), checksum (16), flags (16),
// and with k64BitFeature the number's upper half. A UUID comes behind those that have none of
// kSameUuid.
inline constexpr std::size_t kTagFlagsAt = 6, kTagUpperAt = 8, kTagSize = 8, kTagSize64Bit = 12;
// The copy has zeros for the magic number that its block begins with.
inline constexpr std::uint16_t kEscaped = 1;
inline constexpr std::uint16_t kSameUuid = 2, kLastTag = 8;

// A revoke block: the size of its used part, header included, then block numbers of 4 bytes, or 8
// with k64BitFeature.
inline constexpr std::size_t kRevokeSizeAt = 12, kRevokeHeaderSize = 16;

template <std::unsigned_integral T>
constexpr T number_at(std::span<const std::byte> bytes, std::size_t at) {
  T value = 0;
  for (const std::byte byte : bytes.subspan(at, sizeof(T)))
    value = static_cast<T>(value << 8 | std::to_integer<T>(byte));
  return value;
}

template <std::unsigned_integral T>
constexpr void put_number(std::span<std::byte> bytes, std::size_t at, T value) {
  for (std::size_t i = sizeof(T); i-- > 0; value = static_cast<T>(value >> 4 >> 4))
    bytes[at + i] = static_cast<std::byte>(value & 0xff);
}

}  // namespace ext::jbd2
