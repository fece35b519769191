// SPDX-License-Identifier: Apache-2.0
// Any text as a CDI file, in JSON or YAML by the first byte, and as a condarc: values or
// base::Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "runtime/cdi_spec.h"
#include "runtime/conda_config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    const runtime::CdiSpec spec =
        runtime::parse_cdi_spec(text, data[0] % 2 == 0 ? "fuzz.json" : "fuzz.yaml");
    if (spec.devices.empty() || !runtime::is_cdi_kind(spec.kind)) __builtin_trap();
  } catch (const base::Error&) {
  }
  runtime::parse_condarc(text, "condarc", {"A=/a"}, "/home");
  return 0;
}
