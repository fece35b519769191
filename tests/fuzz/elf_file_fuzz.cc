// SPDX-License-Identifier: Apache-2.0
// Any bytes as an ELF file: an answer or none, never more memory than the limits allow.
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/syscalls.h"
#include "runtime/elf_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::UniqueFd fd(::memfd_create("elf", MFD_CLOEXEC));
  base::write_all(fd.get(), std::as_bytes(std::span(data, size)), "memory file");
  const auto file = runtime::find_elf(fd.get());
  if (file && runtime::needed_glibc(*file) < runtime::GlibcVersion{}) __builtin_trap();
  return 0;
}
