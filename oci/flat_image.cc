// SPDX-License-Identifier: Apache-2.0
#include "oci/flat_image.h"

#include "base/error.h"
#include "base/text.h"

namespace oci {

std::unique_ptr<FlatImage> flatten(const FlattenOptions& options, ConvertProgress& progress) {
  if (options.source.transport == Transport::file) {
    if (std::unique_ptr<FlatImage> image = find_local_image(options)) return image;
  }
  if (!options.overlay.empty()) {
    throw base::error(
        base::printable(options.source.name()),
        " is no SIF or squashfs file, which the changes of an overlay could be added to");
  }
  return flatten_layers(options, progress);
}

std::array<std::uint8_t, 16> uuid_of(const std::string& digest) {
  std::array<std::uint8_t, 16> uuid{};
  for (std::size_t i = 0; i < uuid.size(); ++i)
    uuid[i] = static_cast<std::uint8_t>(std::stoul(digest.substr(7 + 2 * i, 2), nullptr, 16));
  uuid[6] = static_cast<std::uint8_t>((uuid[6] & 0x0F) | 0x80);
  uuid[8] = static_cast<std::uint8_t>((uuid[8] & 0x3F) | 0x80);
  return uuid;
}

}  // namespace oci
