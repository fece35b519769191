// SPDX-License-Identifier: Apache-2.0
// Any text as config.json of an OCI bundle: a bundle with a program, or base::Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "oci/bundle.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const oci::Bundle bundle =
        oci::parse_bundle({reinterpret_cast<const char*>(data), size}, "config.json");
    if (bundle.arguments.empty()) __builtin_trap();
  } catch (const base::Error&) {
  }
  return 0;
}
