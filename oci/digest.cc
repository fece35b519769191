// SPDX-License-Identifier: Apache-2.0
#include "oci/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "base/error.h"

namespace oci {

struct Sha256::Context {
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> evp{EVP_MD_CTX_new()};
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  if (!context_->evp || EVP_DigestInit_ex(context_->evp.get(), EVP_sha256(), nullptr) != 1)
    throw base::error("cannot set up SHA-256 in OpenSSL");
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> data) {
  if (EVP_DigestUpdate(context_->evp.get(), data.data(), data.size()) != 1)
    throw base::error("cannot compute a SHA-256 digest");
}

std::string Sha256::digest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
  unsigned size = 0;
  if (EVP_DigestFinal_ex(context_->evp.get(), value.data(), &size) != 1)
    throw base::error("cannot compute a SHA-256 digest");
  return "sha256:" + base::hex(value.data(), size);
}

std::string sha256_digest(std::string_view text) {
  Sha256 hash;
  hash.update(std::as_bytes(std::span(text)));
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
