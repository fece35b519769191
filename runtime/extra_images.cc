// SPDX-License-Identifier: Apache-2.0
#include "runtime/extra_images.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "runtime/path_in_root.h"

namespace runtime {
namespace {

constexpr const char* kUpper = "upper";
constexpr const char* kWork = "work";

bool is_directory(const std::string& path) {
  const std::optional<struct stat> status = base::find_status(path);
  return status && S_ISDIR(status->st_mode);
}

bool may_write(const std::string& path) {
  return ::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0;
}

// The upper one's mode is that of the container's root, whatever the caller's umask.
void make_layer_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0 && ::chmod(path.c_str(), 0755) == 0) return;
  if (errno == EEXIST && is_directory(path)) return;
  throw base::errno_error(errno, "cannot make ", base::printable(path), " for --overlay")
      .with_hint("add :ro to lay it over the image without changing it");
}

}  // namespace

std::size_t ExtraImages::add(ImageRequest request) {
  const auto same = std::ranges::find_if(images_, [&](const Image& image) {
    return image.request.path == request.path && image.request.partition == request.partition &&
           image.request.writable == request.writable;
  });
  if (same != images_.end()) return static_cast<std::size_t>(same - images_.begin());
  ImageSource source = ImageSource::open(request);
  images_.push_back({std::move(request), std::move(source)});
  return images_.size() - 1;
}

void ExtraImages::add_overlay(const RunPlan& plan, const OverlaySpec& overlay) {
  ImageRequest request{
      overlay.path,     {sif::PartitionType::overlay, 0}, ImageDriver::fuse, plan.unsquash, false,
      plan.cache_folder};
  const bool folder = is_directory(overlay.path);
  request.writable = folder && overlay.writable && may_write(overlay.path);
  if (request.writable) {
    make_layer_folder(base::cat(overlay.path, "/", kUpper));
    make_layer_folder(base::cat(overlay.path, "/", kWork));
  }
  const std::size_t first = add(request);
  overlays_.push_back({first, request.writable});
  if (overlay.writable && !request.writable) {
    base::log_warning("overlay ", base::printable(overlay.path),
                      " cannot be written to, using it read-only");
  }
  if (folder) return;
  const std::vector<std::uint32_t> others = images_[first].source.overlays();
  for (std::size_t i = 1; i < others.size(); ++i) {
    request.partition.id = others[i];
    overlays_.push_back({add(request), false});
  }
}

ExtraImages ExtraImages::open(const RunPlan& plan, std::span<const std::uint32_t> own_overlays) {
  ExtraImages extra;
  for (const std::uint32_t id : own_overlays) {
    extra.overlays_.push_back({extra.add({plan.image,
                                          {sif::PartitionType::overlay, id},
                                          ImageDriver::fuse,
                                          plan.unsquash,
                                          false,
                                          plan.cache_folder}),
                               false});
  }
  for (const OverlaySpec& overlay : plan.overlays) extra.add_overlay(plan, overlay);
  for (std::size_t i = 0; i < plan.mounts.size(); ++i) {
    const MountEntry& entry = plan.mounts[i];
    if (entry.kind != MountKind::image) continue;
    const bool writable = is_directory(entry.source);
    extra.binds_.push_back({i, extra.add({entry.source, entry.partition, ImageDriver::fuse,
                                          plan.unsquash, writable, plan.cache_folder})});
  }
  return extra;
}

void ExtraImages::read_tables() {
  for (Image& image : images_) image.source.read_tables();
}

void ExtraImages::start_servers() {
  for (Image& image : images_) image.source.start_server();
}

void ExtraImages::use_namespace(IdMap ids) {
  for (Image& image : images_) image.source.use_namespace(ids);
}

void ExtraImages::open_in_namespace() {
  for (Image& image : images_) image.source.open_in_namespace();
}

Layers ExtraImages::mount_in(SessionDirectory& session, const RunPlan& plan,
                             MountSources& sources) {
  std::vector<base::UniqueFd> roots;
  for (Image& image : images_)
    roots.push_back(base::open_file(image.source.mount_in(session), O_PATH | O_DIRECTORY));
  Layers layers;
  for (const Overlay& overlay : overlays_) {
    const int root = roots[overlay.image].get();
    if (overlay.writable) {
      layers.upper = base::open_file_at(root, kUpper, O_PATH | O_DIRECTORY | O_NOFOLLOW);
      layers.work = base::open_file_at(root, kWork, O_PATH | O_DIRECTORY | O_NOFOLLOW);
      continue;
    }
    // A folder that was written to as an overlay has its content below "upper".
    std::optional<base::UniqueFd> upper = find_in_root(root, kUpper);
    const bool was_written = upper && is_directory(images_[overlay.image].request.path);
    layers.lowers.insert(
        layers.lowers.begin(),
        was_written ? std::move(*upper) : base::open_file_at(root, ".", O_PATH | O_DIRECTORY));
  }
  for (const Bind& bind : binds_) {
    const MountEntry& entry = plan.mounts[bind.mount];
    const std::optional<base::UniqueFd> found = find_in_root(roots[bind.image].get(), entry.inside);
    if (!found) {
      throw base::error("bind ", base::printable(entry.source), ": ", base::printable(entry.inside),
                        " does not exist in the image");
    }
    sources[bind.mount] = MountSource::open_at(found->get(), entry.inside);
  }
  return layers;
}

}  // namespace runtime
