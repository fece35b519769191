// SPDX-License-Identifier: Apache-2.0
// Keys for signatures, from PEM files: RSA (PKCS #1 1.5 with SHA-256), ECDSA (with SHA-256) and
// Ed25519.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct evp_pkey_st;  // OpenSSL's EVP_PKEY

namespace sif {

class SignatureKey {
 public:
  // Each throws Error for a file that is none of its kind.
  static SignatureKey open_private(const std::string& path);
  static SignatureKey open_public(const std::string& path);
  // The key of a certificate for signing code that is valid now. `roots` and `intermediates` are
  // PEM files; its chain must lead to a root. Without roots: to one of the system's.
  static SignatureKey open_certificate(const std::string& path, const std::string& roots,
                                       const std::string& intermediates);

  std::string sign(std::string_view message) const;
  bool verifies(std::string_view message, std::string_view signature) const;
  // "SHA256:..." of the public key as SSH writes it: how envelopes name keys.
  std::string fingerprint() const;

 private:
  struct Free {
    void operator()(evp_pkey_st* key) const;
  };
  explicit SignatureKey(evp_pkey_st* key) : key_(key) {}

  std::unique_ptr<evp_pkey_st, Free> key_;
};

}  // namespace sif
