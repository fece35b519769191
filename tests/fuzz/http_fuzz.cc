// SPDX-License-Identifier: Apache-2.0
// A server's whole answer: the head, the framing of the body, the address it redirects to.
#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "net/http.h"
#include "net/url.h"
#include "tests/unit/net/memory_channel.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string answer(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    net::Response response(std::make_unique<net::MemoryChannel>(answer, data[0] + 1U),
                           {.method = size % 5 == 0 ? "HEAD" : "GET"});
    if (const auto location = response.find("location"))
      net::resolve_url(net::parse_url("https://registry/v2/a"), *location);
    response.read_text(1 << 20);
  } catch (const base::Error&) {
  }
  return 0;
}
