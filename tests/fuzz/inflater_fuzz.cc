// SPDX-License-Identifier: Apache-2.0
// A compressed stream in any of the formats; the output is bounded here, as a digest bounds
// nothing.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/error.h"
#include "oci/decompress.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMaxOutput = 4 << 20;
  std::span<const std::byte> rest = std::as_bytes(std::span(data, size));
  const oci::Compression compression = oci::detect_compression(rest);
  if (compression == oci::Compression::none) return 0;
  const oci::ReadStream input = [&](std::span<std::byte> out) {
    const std::size_t count = std::min(out.size(), rest.size());
    if (count > 0) std::memcpy(out.data(), rest.data(), count);
    rest = rest.subspan(count);
    return count;
  };
  try {
    oci::Inflater inflater(compression, input, "stream");
    std::array<std::byte, 65536> out;
    for (std::size_t total = 0, count; total < kMaxOutput && (count = inflater.read(out)) > 0;)
      total += count;
  } catch (const base::Error&) {
  }
  return 0;
}
