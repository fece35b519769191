// SPDX-License-Identifier: Apache-2.0
// The container's root, put together on a mounted image inside the private mount namespace: missing
// mount points, the plan's mounts in order, seal, switch. Every path of the container is resolved
// against the root's descriptor; the image itself is never changed.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "runtime/layers.h"
#include "runtime/mount_api.h"
#include "runtime/mount_table.h"
#include "runtime/run_plan.h"
#include "runtime/session_directory.h"
#include "runtime/target_maker.h"

namespace runtime {

// Sources of the plan's binds, in its order; nullopt for entries without one and for those that
// could not be opened and may be missing. Opened before the session directory covers host paths.
using MountSources = std::vector<std::optional<MountSource>>;
MountSources open_mount_sources(std::span<const MountEntry> mounts);

class Rootfs {
 public:
  // `image_path`: where the image is mounted, a mount point inside the session directory.
  Rootfs(SessionDirectory& session, std::string image_path);

  // O_PATH of the image as it was mounted.
  int image() const { return image_.get(); }

  // Lays an overlay over the image, missing mount points included. At most once, instead of
  // make_targets.
  void add_layers(const Layers& layers, const RunPlan& plan, const MountSources& sources);
  void make_targets(const RunPlan& plan, const MountSources& sources);
  void mount_all(const RunPlan& plan, MountSources sources);
  // Makes everything that stands in for a directory of the image read-only.
  void seal();
  // pivot_root(2); the host's tree is gone from the mount namespace afterwards.
  void switch_root();
  // The files with the caller's entries; whoever is inside may write to them.
  std::vector<base::UniqueFd> take_account_files() { return std::move(account_files_); }
  // Of the plan's FUSE programs, in their order.
  std::vector<base::UniqueFd> take_fuse_devices() { return std::move(fuse_devices_); }
  // False if something is missing that each run must tell by itself, or if a mount point lies in a
  // directory of the host, which can take it away together with the mount.
  bool suits_others() const { return suits_others_; }

 private:
  MissingTargets find_missing(const RunPlan& plan, const MountSources& sources) const;
  bool is_ours(int fd, const std::string& name) const;
  base::UniqueFd open_target(const MountEntry& entry, bool is_directory);
  void mount(const RunPlan& plan, const MountEntry& entry, std::optional<MountSource>& source);
  void note_host_target(int target, int source, const MountEntry& entry);
  void mount_bind(const MountEntry& entry, MountSource source);
  void mount_host_bind(const MountEntry& entry, MountSource source);
  void mount_account_file(const RunPlan& plan, const MountEntry& entry);
  void mount_proc(const MountEntry& entry);
  void reopen_root();

  SessionDirectory& session_;
  std::string root_path_;
  base::UniqueFd image_;  // the image alone, as it was mounted
  dev_t image_device_ = 0;
  base::UniqueFd root_;   // what the payload will see as "/"
  bool layered_ = false;  // the root is an overlay
  bool written_ = false;  // the image itself is writable
  bool covered_ = false;  // the entry being mounted lies below an earlier one
  bool suits_others_ = true;
  std::vector<base::UniqueFd> account_files_;
  std::vector<base::UniqueFd> fuse_devices_;
  std::vector<base::UniqueFd> covers_;
  std::vector<std::string> throwaway_;  // targets whose host directory was made for this run
};

}  // namespace runtime
