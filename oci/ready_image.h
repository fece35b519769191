// SPDX-License-Identifier: Apache-2.0
// Images that lie ready on a server: SIFs in a registry (oras://, as Apptainer pushes them) and
// files of web servers (http://, https://). They stay as they are, signatures and all.
#pragma once

#include <cstdint>
#include <string>

#include "oci/image_source.h"
#include "oci/progress.h"

namespace oci {

bool is_ready_made(const SourceSpec& source);

// Fetches into the empty file `fd` and gives the size. Throws Error for what is no image.
std::uint64_t fetch_ready_made(const SourceSpec& source, int fd, ConvertProgress& progress);

// Stores the SIF `path` under oras:// as Apptainer does.
void push_sif(const std::string& path, const SourceSpec& target);

// What tells the image from all others without fetching it: the digest that the registry's manifest
// has for it, or the address and what the web server says of the file's version.
std::string ready_made_identity(const SourceSpec& source);

}  // namespace oci
