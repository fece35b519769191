// SPDX-License-Identifier: Apache-2.0
#include "base/sha256.h"

#include <openssl/evp.h>

#include <array>

#include "base/error.h"
#include "base/text.h"

namespace base {

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1)
    throw error("cannot set up SHA-256 in OpenSSL");
}

void Sha256::update(std::span<const std::byte> data) {
  if (EVP_DigestUpdate(context_.get(), data.data(), data.size()) != 1)
    throw error("cannot compute a SHA-256 digest");
}

std::string Sha256::digest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
  unsigned size = 0;
  if (EVP_DigestFinal_ex(context_.get(), value.data(), &size) != 1)
    throw error("cannot compute a SHA-256 digest");
  return "sha256:" + hex(value.data(), size);
}

std::string sha256_digest(std::string_view text) {
  Sha256 hash;
  hash.update(text);
  return hash.digest();
}

}  // namespace base
