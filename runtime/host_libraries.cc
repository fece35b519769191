// SPDX-License-Identifier: Apache-2.0
#include "runtime/host_libraries.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "base/text.h"
#include "runtime/root_tree.h"

namespace runtime {

std::vector<std::string> library_directories(std::span<const HostLibrary> libraries) {
  std::vector<std::string> out;
  for (const HostLibrary& library : libraries) {
    const std::string_view directory = parent_path(library.file);
    if (std::ranges::find(out, directory) == out.end()) out.emplace_back(directory);
  }
  return out;
}

std::string library_mount_name(std::size_t number) { return base::cat(".", number); }

std::span<const HostLibrary> libraries_at(const HostAdditions& additions, std::string_view target) {
  return target == kLibrary32Directory ? additions.libraries32 : additions.libraries;
}

std::vector<LibraryLink> library_links(std::span<const HostLibrary> libraries) {
  const std::vector<std::string> places = library_directories(libraries);
  std::vector<LibraryLink> out;
  for (const HostLibrary& library : libraries) {
    if (library.left_out) continue;
    const auto place = std::ranges::find(places, parent_path(library.file)) - places.begin();
    out.push_back({library.name, base::cat(library_mount_name(static_cast<std::size_t>(place)), "/",
                                           base_name(library.file))});
  }
  return out;
}

base::UniqueFd make_library_directory(SessionDirectory& session,
                                      std::span<const HostLibrary> libraries) {
  base::UniqueFd directory = session.make_directory("libs", 0755);
  const std::vector<std::string> places = library_directories(libraries);
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (::mkdirat(directory.get(), library_mount_name(i).c_str(), 0755) != 0)
      throw base::errno_error(errno, "cannot make ", kLibraryDirectory, "/", library_mount_name(i));
  }
  for (const LibraryLink& link : library_links(libraries)) {
    if (::symlinkat(link.target.c_str(), directory.get(), link.name.c_str()) != 0 &&
        errno != EEXIST)
      throw base::errno_error(errno, "cannot make the link ", base::printable(link.name));
  }
  return directory;
}

}  // namespace runtime
