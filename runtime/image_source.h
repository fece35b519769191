// SPDX-License-Identifier: Apache-2.0
// The image of a run, whatever it is: a squashfs or ext3 file served through FUSE, a loop mount, or
// a directory. Its steps happen at different points of the launch, since each needs a different
// namespace.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/ext_mount.h"
#include "runtime/image_mount.h"
#include "runtime/mount_api.h"
#include "runtime/run_plan.h"
#include "runtime/session_directory.h"
#include "runtime/share.h"
#include "runtime/share_key.h"
#include "runtime/user_namespace.h"
#include "sif/sif_reader.h"
#include "sif/squashfs_reader.h"

namespace runtime {

// Which image, and how it is to be had.
struct ImageRequest {
  std::string path;  // absolute
  sif::PartitionChoice partition{};
  ImageDriver driver = ImageDriver::fuse;
  bool unsquash = false;
  bool writable = false;      // where it can be: directories and ext3
  std::string unpack_folder;  // the caller's, see runtime/user_cache
};

class ImageSource {
 public:
  // With the caller's own rights. A directory is taken as an unpacked image; a file without a
  // usable /dev/fuse is unpacked once into the caller's cache. Throws for what is no image, or one
  // of another architecture.
  static ImageSource open(const ImageRequest& request);

  bool is_writable() const { return writable_; }
  bool is_ext() const { return is_ext_; }
  // Of ext3 images that are written to: what ends when their last changes are in the file.
  std::optional<int> end_of_writing() const;
  // Overlay partitions of the same SIF, which belong to it.
  const std::vector<std::uint32_t>& overlays() const { return overlays_; }

  // Looks for the mount of an earlier start, for which the next two steps are done. Nothing for
  // directories, as these.
  void find_share(const RunPlan& plan);
  // The file that is to be served; null where none is.
  const sif::ImageFile* served_file() const { return file_ ? &*file_ : nullptr; }
  // Outside of all new namespaces, and before the tables are read: the server does that for itself
  // meanwhile. For the trace file see ImageServer.
  void start_server(const std::string& trace_file = {});
  // Reads and checks the image's tables: errors surface here.
  void read_tables();
  // What the run needs to know of the image, into the plan; and what it lacks for the plan.
  void preview(RunPlan& plan);
  // A new user namespace, or that of the mount which is shared.
  IdMap enter_user_namespace(const IdentityRequest& identity);
  // In a user namespace that was entered otherwise, instead.
  void use_namespace(IdMap ids);
  // Moves into the mount namespace of an earlier start that has made just the root which this one
  // would; nothing is left to be mounted then. False if there is none.
  bool enter_finished_root();
  // Inside the mount namespace, before the session directory.
  void open_in_namespace();
  // Gives the mount point's path: nosuid, nodev, and read-only unless asked for otherwise.
  std::string mount_in(SessionDirectory& session);
  // To be called when the sources of all binds are open: were they what find_share() took them for?
  void confirm_root(const RunPlan& plan);
  // With all mounts made: later starts may enter them. `files`: those made for this root.
  void offer_root(std::vector<base::UniqueFd> files);
  // Afterwards: others are, or can come, in the same user namespace.
  bool is_shared() const { return is_shared_; }

 private:
  void open_file(const ImageRequest& request);
  void open_ext(bool writable);
  void mount_for_all();

  std::vector<std::uint32_t> overlays_;
  bool writable_ = false, is_ext_ = false;
  std::string directory_;  // an unpacked image; empty for a file
  std::optional<sif::ImageFile> file_;
  std::optional<sif::ImageFile> ext_file_;
  ExtRole ext_role_ = ExtRole::plain;
  std::optional<ExtServer> ext_server_;
  struct OpenFile {
    explicit OpenFile(sif::ImageFile image)
        : file(std::move(image)), reader(file.fd.get(), file.offset, file.size, file.path) {}
    sif::ImageFile file;
    sif::SquashfsReader reader;
  };
  std::shared_ptr<const OpenFile> served_;  // what a server is to serve
  std::vector<AddedPath> added_;            // mount points that the file lacks
  Share share_;
  FinishedRoot root_;          // to be offered to others, as far as it is known
  base::UniqueFd door_;        // whom to tell
  bool shows_others_ = false;  // the server waits for namespaces to hand to others
  bool is_shared_ = false;
  std::optional<ImageServer> server_;
  FuseOptions server_options_;
  std::optional<MountSource> tree_;
};

}  // namespace runtime
