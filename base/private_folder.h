// SPDX-License-Identifier: Apache-2.0
// Folders for what a user's programs believe without looking: others could give them forged
// contents.
#pragma once

#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace base {

// Opens the cache folder, and makes it and what is above it where they are missing. Throws Error
// with the hint when that fails, and when the folder belongs to or is writable for other users.
UniqueFd open_private_folder(const std::string& path, std::string_view hint);

}  // namespace base
