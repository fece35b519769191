// SPDX-License-Identifier: Apache-2.0
// An image file as a folder that takes changes, without being unpacked: served by FUSE below an
// overlay whose upper layer is a folder of the host.
#pragma once

#include <string>

#include "runtime/image_mount.h"
#include "runtime/user_namespace.h"

namespace runtime {

class WorkingImage {
 public:
  // As the caller, outside of new namespaces: starts the file's server. Throws Error for what is no
  // image, and where images cannot be served.
  explicit WorkingImage(const std::string& path);
  WorkingImage(const WorkingImage&) = delete;
  WorkingImage& operator=(const WorkingImage&) = delete;
  // The mounts go, once nobody is in them.
  ~WorkingImage();

  // Inside a user namespace that has these ids, and a mount namespace of its own; in `folder`,
  // which is empty and becomes one as --overlay takes it: changes are in "upper". Gives the path of
  // the folder to work in. Throws Error where the kernel or the file system of `folder` has no
  // overlays.
  std::string mount_in(const std::string& folder, IdMap ids);

 private:
  ImageServer server_;
  std::string lower_, merged_;  // what is mounted; empty: nothing
};

}  // namespace runtime
