// SPDX-License-Identifier: Apache-2.0
// Mounts an ext file system in a file through a FUSE server of ours, as runtime/image_mount does
// with squashfs images, and as they are a process outside of both new namespaces.
#pragma once

#include <string>

#include "base/unique_fd.h"
#include "ext/file_system.h"
#include "runtime/ext_responder.h"
#include "runtime/fuse_responder.h"
#include "sif/sif_reader.h"

namespace runtime {

class ExtServer {
 public:
  // The image's file is locked for that access. Single-threaded callers only.
  static ExtServer start(const sif::ImageFile& image, ext::Access access, ExtRole role);

  // As those of ImageServer. mount_at() throws what the server found wrong with the file system.
  void open_device();
  void mount_at(const std::string& target, FuseOptions options);

  // For wait_for_ext_server(), by whoever has a copy of it.
  int end() const { return control_.get(); }

 private:
  ExtServer(base::UniqueFd control, ext::Access access)
      : control_(std::move(control)), access_(access) {}

  base::UniqueFd device_, probing_;
  base::UniqueFd control_;
  ext::Access access_;
};

// Until all changes are in the file, once the last process that uses the mount has ended. Returns
// soon where there is still one. False, with a message, if changes are lost.
bool wait_for_ext_server(int end);

}  // namespace runtime
