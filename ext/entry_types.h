// SPDX-License-Identifier: Apache-2.0
// The numbers by which entries of directories tell what kind of file they name. Not for other
// folders.
#pragma once

#include <dirent.h>
#include <sys/types.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "ext/ext2fs_adapter.h"

namespace ext {

// By the numbers of the file system (EXT2_FT_REG_FILE...), those of readdir(3).
inline constexpr std::array<std::uint8_t, 8> kEntryTypes = {DT_UNKNOWN, DT_REG,  DT_DIR,  DT_CHR,
                                                            DT_BLK,     DT_FIFO, DT_SOCK, DT_LNK};

// 0 where the file system keeps none.
inline int entry_type_of(const ext2_super_block& super, mode_t mode) {
  if (!ext2fs_has_feature_filetype(const_cast<ext2_super_block*>(&super))) return EXT2_FT_UNKNOWN;
  const auto type = static_cast<std::uint8_t>((mode & S_IFMT) >> 12);  // IFTODT of <dirent.h>
  return static_cast<int>(std::ranges::find(kEntryTypes, type) - kEntryTypes.begin()) % 8;
}

}  // namespace ext
