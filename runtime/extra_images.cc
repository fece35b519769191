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
#include "sif/sif_reader.h"

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

// An ext3 image need not have it yet.
base::UniqueFd open_layer_folder(int root, const char* name, const std::string& image) {
  if (::mkdirat(root, name, 0755) != 0 && errno != EEXIST)
    throw base::errno_error(errno, "cannot make the folder ", name, " in the overlay ",
                            base::printable(image))
        .with_hint("add :ro to lay it over the image without changing it");
  base::UniqueFd folder(::openat(root, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder)
    throw base::errno_error(errno, "cannot use the overlay ", base::printable(image), ": ", name,
                            " in it must be a folder");
  return folder;
}

// Of what takes changes there can be only one; folders are judged by runtime/run_plan.
void check_only_writable(const RunPlan& plan, bool has_writable_layer, const std::string& path) {
  if (!plan.writable_tmpfs && !has_writable_layer) return;
  throw base::error("--overlay ", base::printable(path), ": there is ",
                    plan.writable_tmpfs ? "--writable-tmpfs" : "another one",
                    " to take changes already")
      .with_hint(base::cat("add :ro, as in --overlay ", base::printable(path), ":ro"));
}

// One of the binds from this image may be written to; all are served by one server.
bool is_to_be_written(const RunPlan& plan, const MountEntry& bind) {
  return may_write(bind.source) && std::ranges::any_of(plan.mounts, [&](const MountEntry& entry) {
           return entry.kind == MountKind::image && entry.source == bind.source &&
                  entry.partition == bind.partition && !has(entry.flags, MountFlags::read_only);
         });
}

// The same partition may be asked for by its id and by its kind; of a bare image it is the only
// one.
bool is_same_file_system(const ImageRequest& a, const ImageRequest& b) {
  if (!base::is_same_file(a.path, b.path)) return false;
  if (a.partition == b.partition) return true;
  const auto status = base::find_status(a.path);
  return status && !S_ISDIR(status->st_mode) &&
         sif::open_any_image(a.path, a.partition).offset ==
             sif::open_any_image(b.path, b.partition).offset;
}

}  // namespace

std::size_t ExtraImages::add(ImageRequest request) {
  for (std::size_t i = 0; i < images_.size(); ++i) {
    const Image& known = images_[i];
    if (!is_same_file_system(known.request, request)) continue;
    const bool is_ext = known.source.is_ext();
    if (known.request.writable == request.writable || (is_ext && known.source.is_writable()))
      return i;
    if (is_ext)
      throw base::error(base::printable(request.path), " is used twice here, once to be written to")
          .with_hint("add :ro to both");
  }
  ImageSource source = ImageSource::open(request);
  const bool is_folder = is_directory(request.path);  // its name is gone when roots have changed
  images_.push_back({std::move(request), std::move(source), is_folder});
  return images_.size() - 1;
}

void ExtraImages::add_overlay(const RunPlan& plan, const OverlaySpec& overlay) {
  ImageRequest request{overlay.path,
                       {sif::PartitionType::overlay, 0},
                       ImageDriver::fuse,
                       plan.unsquash,
                       overlay.writable && may_write(overlay.path),
                       plan.unpack_folder};
  const bool folder = is_directory(overlay.path);
  if (folder && request.writable) {
    make_layer_folder(base::cat(overlay.path, "/", kUpper));
    make_layer_folder(base::cat(overlay.path, "/", kWork));
  }
  const std::size_t first = add(request);
  const bool writable = overlay.writable && images_[first].source.is_writable();
  if (writable) check_only_writable(plan, has_writable_layer(), overlay.path);
  overlays_.push_back({first, writable});
  if (overlay.writable && !writable) {
    base::log_warning("overlay ", base::printable(overlay.path),
                      " cannot be written to, using it read-only");
  }
  if (folder) return;
  request.writable = false;
  const std::vector<std::uint32_t> others = images_[first].source.overlays();
  for (std::size_t i = 1; i < others.size(); ++i) {
    request.partition.id = others[i];
    overlays_.push_back({add(request), false});
  }
}

// The last one is on top, and takes the changes if there are to be any.
void ExtraImages::add_own_overlays(const RunPlan& plan, std::span<const std::uint32_t> ids) {
  for (const std::uint32_t id : ids) {
    const std::size_t image = add({plan.image,
                                   {sif::PartitionType::overlay, id},
                                   ImageDriver::fuse,
                                   plan.unsquash,
                                   plan.writable && id == ids.back() && may_write(plan.image),
                                   plan.unpack_folder});
    overlays_.push_back({image, images_[image].source.is_writable()});
  }
}

bool ExtraImages::has_writable_layer() const {
  return std::ranges::any_of(overlays_, &Overlay::writable);
}

std::vector<int> ExtraImages::ends_of_writing() const {
  std::vector<int> ends;
  for (const Image& image : images_)
    if (const std::optional<int> end = image.source.end_of_writing()) ends.push_back(*end);
  return ends;
}

ExtraImages ExtraImages::open(const RunPlan& plan, std::span<const std::uint32_t> own_overlays) {
  ExtraImages extra;
  extra.add_own_overlays(plan, own_overlays);
  for (const OverlaySpec& overlay : plan.overlays) extra.add_overlay(plan, overlay);
  for (std::size_t i = 0; i < plan.mounts.size(); ++i) {
    const MountEntry& entry = plan.mounts[i];
    if (entry.kind != MountKind::image) continue;
    extra.binds_.push_back(
        {i, extra.add({entry.source, entry.partition, ImageDriver::fuse, plan.unsquash,
                       is_to_be_written(plan, entry), plan.unpack_folder})});
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

// What was written to as an overlay has its content below "upper".
base::UniqueFd ExtraImages::open_lower(const Overlay& overlay, int root) const {
  const Image& image = images_[overlay.image];
  const bool takes_changes = image.source.is_ext() || image.is_folder;
  std::optional<base::UniqueFd> upper;
  if (takes_changes) upper = find_in_root(root, kUpper);
  return upper ? std::move(*upper) : base::open_file_at(root, ".", O_PATH | O_DIRECTORY);
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
      const std::string& path = images_[overlay.image].request.path;
      layers.upper = open_layer_folder(root, kUpper, path);
      layers.work = open_layer_folder(root, kWork, path);
    } else {
      layers.lowers.insert(layers.lowers.begin(), open_lower(overlay, root));
    }
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
