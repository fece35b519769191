// SPDX-License-Identifier: Apache-2.0
// Mounts an image through our own FUSE server, without privilege beyond the user namespace. The
// server is a process outside of both new namespaces: in the mount namespace it would keep its own
// mount alive, and in the user namespace programs of the container could trace it. It ends when the
// last process using the mount is gone.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/unique_fd.h"
#include "runtime/added_nodes.h"
#include "runtime/fuse_responder.h"
#include "runtime/share_door.h"
#include "sif/sif_reader.h"
#include "sif/squashfs_reader.h"

namespace runtime {

class ImageServer {
 public:
  // Starts the server process, which goes on with a copy of the reader and what it knows, and shows
  // the added paths besides the image's own. To be called before entering the user namespace;
  // single-threaded callers only. With a listener, the server answers those who wait there once
  // share() tells it what to say.
  static ImageServer start(const sif::ImageFile& image, const sif::SquashfsReader& reader,
                           std::span<const AddedPath> added = {},
                           std::optional<ShareListener> listener = {});

  // Inside the user namespace that the mount will belong to, which the kernel checks.
  void open_device();
  // Mounts at the directory `target` of the calling process's mount namespace (ro, nosuid, nodev)
  // and lets the server begin. If this object dies before, so does the server.
  void mount_at(const std::string& target, FuseOptions options = {});
  // Lets others in: `mount_namespace` is one with nothing but the image.
  void share(int user_namespace, int mount_namespace);

 private:
  explicit ImageServer(base::UniqueFd control) : control_(std::move(control)) {}

  base::UniqueFd device_;
  base::UniqueFd control_;  // socket to the server; its end before the server has begun ends it
};

}  // namespace runtime
