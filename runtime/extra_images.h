// SPDX-License-Identifier: Apache-2.0
// Images besides the root's, squashfs and ext3 files and folders: those that are laid over it
// (--overlay, and a SIF's own overlay partitions) and those that binds look into (image-src=).
// Their steps happen when the root image's do, see runtime/image_source.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/image_source.h"
#include "runtime/layers.h"
#include "runtime/rootfs.h"
#include "runtime/run_plan.h"
#include "runtime/session_directory.h"

namespace runtime {

class ExtraImages {
 public:
  // `own_overlays`: ids of the root image's overlay partitions. Makes what a writable overlay needs
  // in its folder. Throws Error for what cannot be used.
  static ExtraImages open(const RunPlan& plan, std::span<const std::uint32_t> own_overlays);

  bool empty() const { return images_.empty(); }
  bool has_layers() const { return !overlays_.empty(); }
  // One of the layers takes the changes.
  bool has_writable_layer() const;
  // Of all ext3 images that are written to, see runtime/image_source. After start_servers().
  std::vector<int> ends_of_writing() const;

  void read_tables();
  void start_servers();
  void use_namespace(IdMap ids);
  void open_in_namespace();
  // Gives the layers, and the sources of the plan's image binds.
  Layers mount_in(SessionDirectory& session, const RunPlan& plan, MountSources& sources);

 private:
  struct Image {
    ImageRequest request;
    ImageSource source;
    bool is_folder;
  };
  struct Overlay {
    std::size_t image;
    bool writable = false;
  };
  // Each image once, however many binds name it.
  std::size_t add(ImageRequest request);
  void add_overlay(const RunPlan& plan, const OverlaySpec& overlay);
  void add_own_overlays(const RunPlan& plan, std::span<const std::uint32_t> ids);
  base::UniqueFd open_lower(const Overlay& overlay, int root) const;

  std::vector<Image> images_;
  std::vector<Overlay> overlays_;  // the lowest first
  struct Bind {
    std::size_t mount, image;  // positions in the plan's mounts and in images_
  };
  std::vector<Bind> binds_;
};

}  // namespace runtime
