// SPDX-License-Identifier: Apache-2.0
// The images of a `docker save` archive: manifest.json with <id>/layer.tar (Docker up to 24,
// podman, skopeo) or with OCI blobs (Docker 25 and later), or an OCI layout alone (index.json).
#pragma once

#include <string>
#include <vector>

#include "oci/decompress.h"
#include "oci/file_source.h"
#include "oci/image_config.h"
#include "oci/image_members.h"
#include "sif/sif_format.h"

namespace oci {

// An image as the archive's manifest lists it; nothing of it has been read yet.
struct ArchivedImage {
  std::vector<std::string> references{};  // in the short form, "debian:12"
  std::string config_path{};
  std::vector<std::string> layer_paths{};  // lowest first
  std::vector<std::string> media_types{};  // of the layers; empty when the manifest does not tell
  std::string document;                    // that lists it, for messages
};

// All of the archive, in its order, entries of the same image united. Throws Error when the
// archive is no image archive or its documents are not as they should be. Of an image for several
// platforms only linux on `go_arch` is listed, if it is there.
std::vector<ArchivedImage> list_images(
    const ImageMembers& members, const std::string& go_arch = std::string(sif::host_go_arch()));

// Whether select_image() finds it.
bool has_image(const std::vector<ArchivedImage>& images, const std::string& reference);
// The image called `reference`: NAME[:TAG], with or without registry, or the beginning of its ID
// (12 digits at least). With an empty reference the only image there is. Else throws Error listing
// what there is.
const ArchivedImage& select_image(const std::vector<ArchivedImage>& images,
                                  const std::string& reference, const std::string& archive_name);

struct LayerBlob {
  FileSource stored;        // as the archive has it
  Compression compression;  // by its content, whatever the media type says
  std::string diff_id;      // digest that the uncompressed layer must have
  std::string blob_digest;  // digest that the stored bytes must have; empty: unknown
  std::string name;         // "layer 2 of 7 (abc/layer.tar)"
};

struct LoadedImage {
  std::string reference{};      // the one asked for, else the first; may be empty
  std::string config_digest{};  // the image ID
  ImageConfig config{};
  std::vector<LayerBlob> layers{};
};

// Reads and verifies the configuration and finds the layers, whose content is not verified here.
LoadedImage load_image(const ImageMembers& members, const ArchivedImage& image,
                       const std::string& reference);

// "docker.io/library/debian" -> "debian:latest": one form for what tools write differently.
std::string short_reference(std::string_view reference);

// The digest that a member's name promises for its content ("blobs/sha256/<hex>", "<hex>.json");
// empty when it promises none.
std::string promised_digest(std::string_view path);

}  // namespace oci
