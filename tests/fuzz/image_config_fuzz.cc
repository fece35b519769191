// SPDX-License-Identifier: Apache-2.0
// An image configuration and all texts that are made from it.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "oci/image_config.h"
#include "oci/singularity_d.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const oci::ImageConfig config = oci::parse_image_config(text, "config");
    const oci::ImageIdentity identity{"name:1", "sha256:0", config.architecture};
    oci::singularity_files(config, identity);
    oci::sif_texts(config, identity);
  } catch (const base::Error&) {
  }
  return 0;
}
