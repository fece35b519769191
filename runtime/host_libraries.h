// SPDX-License-Identifier: Apache-2.0
// Libraries of the host under /.singularity.d/libs: a directory of links, and within it one
// read-only mount for each host directory that they lie in. Two or three mounts do what would take
// one for each of some fifty names, and the directories' other files are in nobody's search path.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "runtime/host_additions.h"
#include "runtime/session_directory.h"

namespace runtime {

// The host directories, each once, in the order of their mounts.
std::vector<std::string> library_directories(std::span<const HostLibrary> libraries);
// Name of the mount point of the directory with that number.
std::string library_mount_name(std::size_t number);

// The list that belongs to kLibraryDirectory or kLibrary32Directory.
std::span<const HostLibrary> libraries_at(const HostAdditions& additions, std::string_view target);

// A link's name and its target, as text.
struct LibraryLink {
  std::string name, target;
  bool operator==(const LibraryLink&) const = default;
};
// Of the libraries that are not left out.
std::vector<LibraryLink> library_links(std::span<const HostLibrary> libraries);

// Links and empty mount points, in the session.
base::UniqueFd make_library_directory(SessionDirectory& session,
                                      std::span<const HostLibrary> libraries);

}  // namespace runtime
