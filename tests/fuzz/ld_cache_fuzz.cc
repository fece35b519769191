// SPDX-License-Identifier: Apache-2.0
// Any bytes as /etc/ld.so.cache: every entry's text lies within the file.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/ld_cache.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const char* const bytes = reinterpret_cast<const char*>(data);
  const auto cache = runtime::LdCache::parse({bytes, bytes + size});
  if (!cache) return 0;
  std::size_t total = 0;
  for (const runtime::LdCacheEntry& entry : cache->entries())
    total += (entry.name.empty() ? 0U : static_cast<unsigned char>(entry.name.back())) +
             entry.path.size();
  return total == SIZE_MAX ? 1 : 0;
}
