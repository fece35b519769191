// SPDX-License-Identifier: Apache-2.0
// The whole arrow: source -> merged tree -> squashfs -> SIF.
#pragma once

#include <cstdint>
#include <string>

#include "oci/flat_image.h"
#include "oci/progress.h"
#include "sif/folder_writer.h"
#include "sif/squashfs_writer.h"

namespace oci {

struct ConvertOptions {
  FlattenOptions source;
  sif::SquashfsOptions squashfs;  // modified_time is set from the image
};

struct ConvertResult {
  std::string reference{};  // empty for an unnamed image
  std::string image_id{};   // "sha256:...", of the image or of a tree without one
  std::string architecture{};
  std::size_t layers = 0;
  std::uint64_t source_bytes = 0;  // of the uncompressed archive
  std::uint64_t sif_bytes = 0;
  sif::SquashfsStats squashfs{};
};

// Fills the empty folder `dir_fd` in place of a SIF; the result has no sizes.
ConvertResult convert_to_folder(const FlattenOptions& options, int dir_fd,
                                const sif::FolderOptions& folder, ConvertProgress& progress);

// Writes the SIF into `fd` (empty, readable and writable), of which a ready-made one is an exact
// copy; then little is known of it. Throws Error; what `fd` holds then is of no use.
ConvertResult convert(const ConvertOptions& options, int fd, ConvertProgress& progress);

}  // namespace oci
