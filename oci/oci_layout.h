// SPDX-License-Identifier: Apache-2.0
// The images of an OCI layout in an archive (image-spec image-layout.md): index.json, nested
// indexes, manifests.
#pragma once

#include <vector>

#include "oci/docker_archive.h"
#include "oci/json.h"

namespace oci {

// Attestations and other artifacts are left out, and platforms whose manifest is not in the archive
// (`docker save` of one platform keeps the whole index); of several platforms under one name only
// linux on `go_arch` is listed if it is there. Throws Error when no image remains.
std::vector<ArchivedImage> list_oci_images(
    const ImageMembers& members, const std::string& go_arch = std::string(sif::host_go_arch()));

// A document of the archive, its digest verified where its name promises one.
std::string read_document(const ImageMembers& members, const std::string& path,
                          std::string_view what, std::string_view document);
// The same as JSON.
JsonValue parse_document(const ImageMembers& members, const std::string& path,
                         std::string_view what, std::string_view document);

}  // namespace oci
