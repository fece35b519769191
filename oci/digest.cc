// SPDX-License-Identifier: Apache-2.0
#include "oci/digest.h"

#include <algorithm>
#include <vector>

#include "base/syscalls.h"

namespace oci {

std::string file_digest(int fd, std::uint64_t size, const std::string& name) {
  std::vector<std::byte> chunk(kHashChunk);
  Sha256 hash;
  for (std::uint64_t done = 0; done < size; done += chunk.size()) {
    chunk.resize(std::min<std::uint64_t>(chunk.size(), size - done));
    base::pread_exactly(fd, chunk, done, name);
    hash.update(chunk);
  }
  return hash.digest();
}

bool is_sha256_hex(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool is_sha256_digest(std::string_view text) {
  return text.starts_with("sha256:") && is_sha256_hex(text.substr(7));
}

}  // namespace oci
