// SPDX-License-Identifier: Apache-2.0
// Mounts an image through our own FUSE server, without privilege beyond the user namespace. The
// server is a process outside the new mount namespace: inside, it would keep its own mount alive.
// It ends when the last process using the mount is gone.
#pragma once

#include <string>

#include "base/unique_fd.h"
#include "runtime/fuse_responder.h"
#include "sif/sif_reader.h"

namespace runtime {

class ImageServer {
 public:
  // Starts the server process, which goes on with a copy of the reader and what it knows, and shows
  // the added paths besides the image's own. To be
  // called after entering the user namespace, since the device must be opened in it, and before
  // unsharing the mount namespace; single-threaded callers only.
  static ImageServer start(const sif::ImageFile& image, const sif::SquashfsReader& reader,
                           FuseOptions options = {}, std::span<const AddedPath> added = {});

  // Mounts at the directory `target` of the calling process's mount namespace (ro, nosuid, nodev)
  // and lets the server begin. If this object dies before, so does the server.
  void mount_at(const std::string& target);

 private:
  ImageServer(base::UniqueFd device, base::UniqueFd control)
      : device_(std::move(device)), control_(std::move(control)) {}

  base::UniqueFd device_;
  base::UniqueFd control_;  // socket to the server: one byte lets it begin, end of file ends it
};

}  // namespace runtime
