// SPDX-License-Identifier: Apache-2.0
// What a run needs to know about an image, read from its tables before anything is mounted: which
// mount points it lacks, and the small files that the launcher reads. A request to the file server
// costs a hundred times as much.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/added_nodes.h"
#include "runtime/run_plan.h"
#include "sif/path_lookup.h"
#include "sif/squashfs_reader.h"

namespace runtime {

// Takes the mounts out of the plan whose needs the image does not meet.
void drop_needless_mounts(const sif::SquashfsReader& image, RunPlan& plan);

class ImagePreview {
 public:
  // Both are borrowed.
  ImagePreview(const sif::SquashfsReader& image, const RunPlan& plan);

  // Paths that the container will not have, whatever happens in it: absent in the image and out of
  // reach of every mount. Keeps the image, not the plan.
  std::function<bool(const std::string&)> absence(
      std::shared_ptr<const sif::SquashfsReader> image) const;
  // Mount points of the plan that the image lacks; looks at the host for what the sources are. For
  // a mount that others use, too, only those that all of them have: others would see them empty.
  std::vector<AddedPath> missing_mount_points(bool for_others = false) const;
  // Files that the container will show as the image has them.
  std::optional<std::vector<EnvironmentFile>> scripts() const;
  ImageTexts account_files() const;

 private:
  // No mount covers the path (canonical) or anything below it, but for the one on the path itself
  // that is made from it.
  bool is_untouched(std::string_view path) const;
  std::optional<std::string> account_file(const MountEntry& entry) const;
  std::optional<std::string> read(const sif::InodeAttributes& file, std::size_t limit) const;

  const sif::SquashfsReader& image_;
  const RunPlan& plan_;
  std::vector<std::optional<sif::WalkedImagePath>>
      targets_;  // by mount; nullopt: cannot be resolved
};

}  // namespace runtime
