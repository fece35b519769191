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

namespace runtime {

class ImageServer {
 public:
  // Starts the server process, which reads the image's tables for itself. To be called before
  // entering the user namespace; single-threaded callers only. With a listener, the server answers
  // those who wait there once share() tells it what to say. With a trace file, what was asked for
  // at the first start with it is asked for ahead of the program at later ones.
  static ImageServer start(const sif::ImageFile& image, std::optional<ShareListener> listener = {},
                           const std::string& trace_file = {});

  // Inside the user namespace that the mount will belong to, which the kernel checks.
  void open_device();
  // Mounts at the directory `target` of the calling process's mount namespace (ro, nosuid, nodev)
  // and lets the server begin, which shows the added paths besides the image's own. If this object
  // dies before, so does the server.
  void mount_at(const std::string& target, FuseOptions options = {},
                std::span<const AddedPath> added = {});
  // Lets others in: `mount_namespace` is one with nothing but the image. The last step here; gives
  // the way to the server's ShareDoor.
  base::UniqueFd share(int user_namespace, int mount_namespace);

 private:
  ImageServer(base::UniqueFd control, bool preloads)
      : control_(std::move(control)), preloads_(preloads) {}

  base::UniqueFd device_;
  base::UniqueFd control_;  // socket to the server; its end before the server has begun ends it
  bool preloads_;
};

}  // namespace runtime
