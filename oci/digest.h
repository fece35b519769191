// SPDX-License-Identifier: Apache-2.0
// SHA-256 content digests, as OCI writes them ("sha256:" and 64 hexadecimal digits).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace oci {

// Incremental; OpenSSL uses the CPU's SHA instructions.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> data);
  // "sha256:...". The object is spent afterwards.
  std::string digest();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string sha256_digest(std::string_view text);

// 64 lower-case hexadecimal digits.
bool is_sha256_hex(std::string_view text);
// "sha256:" before them; other algorithms are not accepted.
bool is_sha256_digest(std::string_view text);

}  // namespace oci
