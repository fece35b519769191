// SPDX-License-Identifier: Apache-2.0
#include "oci/image_members.h"

#include <utility>

#include "oci/clean_path.h"

namespace oci {

void ImageMembers::expect(const std::vector<std::string>&) const {}

std::string ImageMembers::computed_digest(const FileSource&) const { return ""; }

std::optional<std::string> clean_member_path(std::string_view path) {
  CleanPath clean = clean_path(path);
  if (path.starts_with('/') || clean.escapes || clean.text.empty()) return std::nullopt;
  return std::move(clean.text);
}

}  // namespace oci
