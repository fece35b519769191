// SPDX-License-Identifier: Apache-2.0
#include "oci/layout_folder.h"

#include <fcntl.h>

#include <utility>

#include "base/syscalls.h"

namespace oci {

LayoutFolder::LayoutFolder(std::string path) : path_(std::move(path)) {
  base::open_file(path_, O_RDONLY | O_DIRECTORY);
}

bool LayoutFolder::contains(const std::string& path) const {
  const std::optional<std::string> clean = clean_member_path(path);
  return clean && base::find_status(path_ + "/" + *clean).has_value();
}

// Links are followed: build tools keep blobs elsewhere. What they lead to is of use only if it has
// the digest that names it.
FileSource LayoutFolder::open(const std::string& path, std::string_view what,
                              std::string_view document) const {
  const std::string place = base::cat(base::printable(path_), ": ", document, " names ", what, " ",
                                      base::printable(path));
  const std::optional<std::string> clean = clean_member_path(path);
  if (!clean) throw base::error(place, ", which leads out of the folder");
  if (const auto known = opened_.find(*clean); known != opened_.end()) return known->second;
  const std::string full = path_ + "/" + *clean;
  // A FIFO would keep us waiting forever.
  std::optional<base::UniqueFd> file = base::find_file(full, O_RDONLY | O_NONBLOCK);
  if (!file) throw base::error(place, ", which is missing in the folder");
  const struct stat status = base::file_status(file->get(), full);
  if (!S_ISREG(status.st_mode)) throw base::error(place, ", which is not a regular file");
  const auto size = static_cast<std::uint64_t>(status.st_size);
  size_ += size;
  const FileSource source(std::make_shared<const base::UniqueFd>(*std::move(file)), 0, size, full);
  opened_.emplace(*clean, source);
  return source;
}

}  // namespace oci
