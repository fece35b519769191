// SPDX-License-Identifier: Apache-2.0
// The header of libext2fs (e2fsprogs), without a macro of later ones that is called as std::clamp.
#pragma once

#include <ext2fs/ext2fs.h>

#undef clamp
