// SPDX-License-Identifier: Apache-2.0
// What a superblock must say for libext2fs and for us. Not for other folders.
#pragma once

#include <string>

#include "ext/ext2fs_adapter.h"
#include "ext/transaction.h"

namespace ext {

// libext2fs takes the superblock's numbers as they are, and each for agreeing with the others.
// Throws Error (EIO) with the field, its value and what is allowed. The transaction ends with the
// file system from here on: nothing of the file behind it is its.
void check_superblock(Transaction& transaction);

// All throw Error with a hint. What our own code for contents and directories does not know.
void refuse_unknown_features(const std::string& name, ext2_super_block& super);
// What would become untrue by our changes.
void refuse_counted_features(const std::string& name, ext2_super_block& super);
// Left by who was killed without a journal, or marked by e2fsck or the kernel.
void refuse_unsound(const std::string& name, const ext2_super_block& super);

}  // namespace ext
