// SPDX-License-Identifier: Apache-2.0
#include "oci/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/error.h"
#include "base/syscalls.h"

namespace oci {

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1)
    throw base::error("cannot set up SHA-256 in OpenSSL");
}

void Sha256::update(std::span<const std::byte> data) {
  if (EVP_DigestUpdate(context_.get(), data.data(), data.size()) != 1)
    throw base::error("cannot compute a SHA-256 digest");
}

std::string Sha256::digest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
  unsigned size = 0;
  if (EVP_DigestFinal_ex(context_.get(), value.data(), &size) != 1)
    throw base::error("cannot compute a SHA-256 digest");
  return "sha256:" + base::hex(value.data(), size);
}

std::string sha256_digest(std::string_view text) {
  Sha256 hash;
  hash.update(std::as_bytes(std::span(text)));
  return hash.digest();
}

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
