// SPDX-License-Identifier: Apache-2.0
// The image of a run, whatever it is: a file served through FUSE, a loop mount, or a directory. Its
// steps happen at different points of the launch, since each needs a different namespace.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/image_mount.h"
#include "runtime/mount_api.h"
#include "runtime/run_plan.h"
#include "runtime/session_directory.h"
#include "runtime/share.h"
#include "runtime/share_key.h"
#include "sif/sif_reader.h"
#include "sif/squashfs_reader.h"

namespace runtime {

class ImageSource {
 public:
  // With the caller's own rights. A directory is taken as an unpacked image; a file without a
  // usable /dev/fuse is unpacked once into the caller's cache. Throws for what is no image, or one
  // of another architecture.
  static ImageSource open(const RunPlan& plan);

  // Looks for the mount of an earlier start, for which the next two steps are done. Nothing for
  // directories, as these.
  void find_share(const ShareRequest& request, const std::vector<std::string>& environment);
  // Reads and checks the image's tables (errors surface here), and what the run needs to know of
  // the image into the plan.
  void preview(RunPlan& plan);
  // Outside of all new namespaces.
  void start_server();
  // A new user namespace, or that of the mount which is shared.
  void enter_user_namespace();
  // Inside the mount namespace, before the session directory.
  void open_in_namespace();
  // Gives the mount point's path: read-only, nosuid, nodev.
  std::string mount_in(SessionDirectory& session);

 private:
  void open_file(const RunPlan& plan);
  void mount_for_all();

  std::string directory_;  // an unpacked image; empty for a file
  std::optional<sif::ImageFile> file_;
  std::unique_ptr<sif::SquashfsReader> reader_;  // of the file
  std::vector<AddedPath> added_;                 // mount points that the file lacks
  Share share_;
  bool shows_others_ = false;  // the server hands the mount to others, too
  std::optional<ImageServer> server_;
  FuseOptions server_options_;
  std::optional<MountSource> tree_;
};

}  // namespace runtime
