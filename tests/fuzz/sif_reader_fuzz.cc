// SPDX-License-Identifier: Apache-2.0
// SIF containers and what is taken for one: any bytes end in an image or in an Error.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "sif/sif_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::UniqueFd fd(::memfd_create("sif", MFD_CLOEXEC));
  base::write_all(fd.get(), std::as_bytes(std::span(data, size)), "input");
  try {
    const sif::SifContainer container = sif::read_sif(fd.get(), "input");
    for (const sif::SifDescriptor& each : container.descriptors)
      if (each.offset > size || each.size > size - each.offset) std::abort();
  } catch (const base::Error&) {
  }
  try {
    const sif::ImageFile image = sif::open_image(base::cat("/proc/self/fd/", fd.get()));
    if (image.offset > size || image.size > size - image.offset) std::abort();
  } catch (const base::Error&) {
  }
  return 0;
}
