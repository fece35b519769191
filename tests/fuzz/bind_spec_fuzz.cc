// SPDX-License-Identifier: Apache-2.0
// Any text as --bind and --mount value: base::Error, or specifications with clean absolute paths.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "runtime/bind_spec.h"

namespace {

void check(const runtime::BindSpec& bind) {
  for (const std::string& path : {bind.source, bind.destination}) {
    if (!path.starts_with('/') || path.find("//") != std::string::npos ||
        (path + "/").find("/../") != std::string::npos)
      __builtin_trap();
  }
  if (bind.destination == "/") __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    for (const runtime::BindSpec& bind : runtime::parse_bind_list(text, "/work")) check(bind);
  } catch (const base::Error&) {
  }
  try {
    for (const runtime::BindSpec& bind : runtime::parse_mounts(text, "/work")) check(bind);
  } catch (const base::Error&) {
  }
  return 0;
}
