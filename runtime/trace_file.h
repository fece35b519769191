// SPDX-License-Identifier: Apache-2.0
// Traces in the user's cache, one file for each image and command. Which program it was is told by
// the command's first words; which image, by the superblock, so that copies of an image and other
// nodes find it, and a rebuilt image does not.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "runtime/access_trace.h"
#include "sif/sif_reader.h"

namespace runtime {

// `cache_folder` is user_cache_folder(). Throws when the image cannot be read.
std::string trace_path(const std::string& cache_folder, const sif::ImageFile& image,
                       std::span<const std::string> command);

// nullopt: none, or none that can be used.
std::optional<AccessTrace> find_trace(const std::string& path);

// Replaces what is there, and removes the oldest of too many. Throws when that cannot be done.
void keep_trace(const std::string& path, std::span<const TraceEntry> trace);

}  // namespace runtime
