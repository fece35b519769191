// SPDX-License-Identifier: Apache-2.0
// What a registry and a login file say: challenges, references, credentials.
#include <cstdint>
#include <string_view>

#include "base/base64.h"
#include "base/error.h"
#include "oci/registry_auth.h"
#include "oci/registry_client.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  oci::parse_challenge(text);
  base::find_base64(text);
  try {
    oci::parse_registry(text);
    oci::parse_reference(text);
  } catch (const base::Error&) {
  }
  try {
    oci::find_in_auth_file(text, "file", "h", "a");
    oci::find_credential_helper(text, "file", "h");
  } catch (const base::Error&) {
  }
  return 0;
}
