// SPDX-License-Identifier: Apache-2.0
// SHA-256 content digests, as OCI writes them ("sha256:" and 64 hexadecimal digits).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/sha256.h"

namespace oci {

// Pieces in which files are read to be hashed: they stay in the cache of a core.
inline constexpr std::size_t kHashChunk = 128 << 10;

using base::Sha256;
using base::sha256_digest;

// Of the first `size` bytes; throws when the file ends before. `name` is for messages.
std::string file_digest(int fd, std::uint64_t size, const std::string& name);

// 64 lower-case hexadecimal digits.
bool is_sha256_hex(std::string_view text);
// "sha256:" before them; other algorithms are not accepted.
bool is_sha256_digest(std::string_view text);

}  // namespace oci
