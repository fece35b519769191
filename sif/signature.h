// SPDX-License-Identifier: Apache-2.0
// Digital signatures of a SIF by keys: a DSSE envelope around the digests of header, descriptors
// and objects, an object of its own for each signed group. As Apptainer 1.2 and later write and
// check them (pkg/integrity of the sif repository). Envelopes are hostile bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sif/sif_editor.h"
#include "sif/sif_reader.h"
#include "sif/signature_key.h"

namespace sif {

inline constexpr std::size_t kMaxEnvelopeSize = 32 << 20;

// What is signed or verified; neither: every group.
struct SignedPart {
  std::optional<std::uint32_t> group, object;
};

// Throws "group not found", "object not found"...
void sign(SifEditor& editor, const SignedPart& part, const SignatureKey& key);

// One signature that was looked at.
struct VerifiedSignature {
  std::uint32_t id = 0;
  std::vector<std::uint32_t> objects;    // whose content is what was signed
  std::optional<std::uint32_t> damaged;  // the first whose content is not
  std::string problem;                   // empty: none
};
struct Verification {
  std::vector<VerifiedSignature> signatures;  // up to the first with a problem
  std::string problem;                        // empty: the part is what was signed
};
// Throws only for what cannot be read.
Verification verify(const SifFile& file, const SignedPart& part, const SignatureKey& key);

// What an envelope carries.
struct Envelope {
  std::string payload_type, payload;
  struct Signature {
    std::string key, bytes;
  };
  std::vector<Signature> signatures;
};
// nullopt for what is no envelope.
std::optional<Envelope> find_envelope(std::string_view text);

}  // namespace sif
