// SPDX-License-Identifier: Apache-2.0
#include "runtime/image_files.h"

#include <algorithm>

#include "base/syscalls.h"
#include "sif/path_lookup.h"

namespace runtime {

ImageFiles::ImageFiles(const std::string& path) {
  const std::optional<struct stat> status = base::find_status(path);
  if (status && S_ISDIR(status->st_mode)) {
    folder_.emplace(path);
    return;
  }
  file_ = sif::open_image(path);
  reader_ = std::make_unique<sif::SquashfsReader>(file_->fd.get(), file_->offset, file_->size,
                                                  file_->path);
}

std::optional<std::string> ImageFiles::read(std::string_view path) const {
  if (folder_) {
    return folder_->is_file(path) ? folder_->read(path, kMaxTextSize) : std::nullopt;
  }
  return sif::find_text(*reader_, path, kMaxTextSize);
}

bool ImageFiles::is_directory(std::string_view path) const {
  if (folder_) return folder_->is_directory(path);
  const std::optional<sif::InodeRef> found = sif::resolve_path(*reader_, path);
  return found && reader_->attributes(*found).type == sif::FileType::directory;
}

std::vector<std::string> ImageFiles::list(std::string_view path) const {
  if (folder_) return folder_->list(path);
  std::vector<std::string> names;
  if (!is_directory(path)) return names;
  reader_->list(*sif::resolve_path(*reader_, path), 0,
                [&](const sif::SquashfsReader::Entry& entry) {
                  names.emplace_back(entry.name);
                  return names.size() < RootTree::kMaxNames;
                });
  std::ranges::sort(names);
  return names;
}

}  // namespace runtime
