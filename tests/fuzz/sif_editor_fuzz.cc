// SPDX-License-Identifier: Apache-2.0
// Changing any file that passes for a SIF ends in a readable SIF with the change, or in an Error.
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "sif/sif_editor.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::UniqueFd fd(::memfd_create("sif", MFD_CLOEXEC));
  base::write_all(fd.get(), std::as_bytes(std::span(data, size)), "input");
  try {
    sif::SifEditor editor(base::cat("/proc/self/fd/", fd.get()));
    for (const sif::SifDescriptor& each : sif::SifContainer(editor.file().container).descriptors) {
      try {
        editor.set_primary(each.id);
      } catch (const base::Error&) {
      }
    }
    const std::uint32_t id = editor.add({.alignment = 64}, "content");
    const sif::SifFile& file = editor.file();
    const auto& objects = file.container.descriptors;
    const auto added = std::ranges::find(objects, id - 1, &sif::SifDescriptor::slot);
    if (added == objects.end() || sif::read_object(file, *added, 7) != "content") std::abort();
    const std::uint32_t zero_id = editor.add({}, 7, [](int, std::uint64_t) {});
    const auto zeros = std::ranges::find(objects, zero_id - 1, &sif::SifDescriptor::slot);
    if (zeros == objects.end() || sif::read_object(file, *zeros, 7) != std::string(7, '\0'))
      std::abort();
    const std::size_t count = objects.size();
    editor.remove(objects.front().id);
    if (editor.file().container.descriptors.size() != count - 1) std::abort();
  } catch (const base::Error&) {
  }
  return 0;
}
