// SPDX-License-Identifier: Apache-2.0
// Where the documents and layers of images are found by name: an archive, an OCI layout folder, a
// registry. The names come from documents that are hostile.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "oci/file_source.h"

namespace oci {

class ImageMembers {
 public:
  ImageMembers() = default;
  virtual ~ImageMembers() = default;
  ImageMembers(const ImageMembers&) = delete;
  ImageMembers& operator=(const ImageMembers&) = delete;

  // For messages.
  virtual const std::string& name() const = 0;
  virtual bool contains(const std::string& path) const = 0;

  // The data of the regular file `path`. `what` and `document` say in messages who wants it ("the
  // layer", "manifest.json"). Throws when it is absent or its name leads out of the place.
  virtual FileSource open(const std::string& path, std::string_view what,
                          std::string_view document) const = 0;

  // Says that these will be opened next: what is far away is brought here, several at once.
  virtual void expect(const std::vector<std::string>& paths) const;

  // The digest of a member that open() gave, if it is being computed already; waits for it. Empty:
  // nobody is at it.
  virtual std::string computed_digest(const FileSource& member) const;

  // Size of everything there is; of what was brought here if it is far away.
  virtual std::uint64_t size() const = 0;
};

// "./a//b" -> "a/b"; nullopt for absolute and empty paths and those that climb out with "..".
std::optional<std::string> clean_member_path(std::string_view path);

}  // namespace oci
