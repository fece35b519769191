// SPDX-License-Identifier: Apache-2.0
// Envelopes of signatures, and SIFs that carry such: any bytes are verified or found wanting.
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "sif/signature.h"

namespace {

sif::SignatureKey make_key() {
  EVP_PKEY* pair = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  const base::UniqueFd file(::memfd_create("key", MFD_CLOEXEC));
  std::FILE* stream = ::fdopen(::dup(file.get()), "w");
  PEM_write_PUBKEY(stream, pair);
  std::fclose(stream);
  EVP_PKEY_free(pair);
  return sif::SignatureKey::open_public(base::cat("/proc/self/fd/", file.get()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const sif::SignatureKey key = make_key();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto envelope = sif::find_envelope(text)) {
    for (const auto& signature : envelope->signatures)
      if (key.verifies(envelope->payload, signature.bytes)) std::abort();
  }
  const base::UniqueFd fd(::memfd_create("sif", MFD_CLOEXEC));
  base::write_all(fd.get(), text, "input");
  try {
    const sif::SifFile file = sif::open_sif(base::cat("/proc/self/fd/", fd.get()));
    const sif::Verification found = sif::verify(file, {}, key);
    if (found.problem.empty()) std::abort();  // nobody has the private key any more
  } catch (const base::Error&) {
  }
  return 0;
}
