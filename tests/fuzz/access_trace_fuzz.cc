// SPDX-License-Identifier: Apache-2.0
// Any bytes as a trace of the cache: what is accepted has sound names and numbers, and is written
// the same again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "runtime/access_trace.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto trace = runtime::parse_trace(bytes);
  if (!trace) return 0;
  for (std::size_t i = 0; i < trace->size(); ++i) {
    const runtime::TraceEntry& entry = (*trace)[i];
    if (entry.node != runtime::kTraceRoot && entry.node >= i) std::abort();
    if (entry.name.find('/') != std::string::npos) std::abort();
  }
  if (runtime::serialize(*trace) != bytes) std::abort();
  return 0;
}
