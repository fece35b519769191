// SPDX-License-Identifier: Apache-2.0
// An OCI image layout that lies in a folder (image-spec image-layout.md), as skopeo's oci:DIR.
#pragma once

#include <map>
#include <string>

#include "oci/image_members.h"

namespace oci {

class LayoutFolder : public ImageMembers {
 public:
  // Throws when `path` is no folder.
  explicit LayoutFolder(std::string path);

  const std::string& name() const override { return path_; }
  bool contains(const std::string& path) const override;
  FileSource open(const std::string& path, std::string_view what,
                  std::string_view document) const override;
  std::uint64_t size() const override { return size_; }

 private:
  std::string path_;
  // Two layers of one blob are one source.
  mutable std::map<std::string, FileSource> opened_;
  mutable std::uint64_t size_ = 0;
};

}  // namespace oci
