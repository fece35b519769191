// SPDX-License-Identifier: Apache-2.0
// SHA-256, by OpenSSL, which uses the CPU's own instructions for it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX

namespace base {

class Sha256 {
 public:
  Sha256();

  void update(std::span<const std::byte> data);
  void update(std::string_view text) { update(std::as_bytes(std::span(text))); }
  // As OCI and SIF signatures write it: "sha256:" and 64 lower-case hexadecimal digits. The object
  // is spent afterwards.
  std::string digest();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

std::string sha256_digest(std::string_view text);

}  // namespace base
