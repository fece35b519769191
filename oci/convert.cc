// SPDX-License-Identifier: Apache-2.0
#include "oci/convert.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <future>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "oci/digest.h"
#include "oci/docker_archive.h"
#include "oci/layer_data.h"
#include "oci/merged_tree.h"
#include "oci/singularity_d.h"
#include "sif/sif_format.h"
#include "sif/sif_writer.h"

namespace oci {
namespace {

// Runs an action when an exception leaves its scope, so that the other thread stops too.
class OnFailure {
 public:
  explicit OnFailure(std::function<void()> action) : action_(std::move(action)) {}
  ~OnFailure() {
    if (std::uncaught_exceptions() > entered_with_) action_();
  }
  OnFailure(const OnFailure&) = delete;
  OnFailure& operator=(const OnFailure&) = delete;

 private:
  std::function<void()> action_;
  int entered_with_ = std::uncaught_exceptions();
};

// A version 8 UUID (RFC 9562: of our own making), so that the same image keeps its identity.
std::array<std::uint8_t, 16> uuid_of(const std::string& config_digest) {
  std::array<std::uint8_t, 16> uuid{};
  for (std::size_t i = 0; i < uuid.size(); ++i)
    uuid[i] =
        static_cast<std::uint8_t>(std::stoul(config_digest.substr(7 + 2 * i, 2), nullptr, 16));
  uuid[6] = static_cast<std::uint8_t>((uuid[6] & 0x0F) | 0x80);
  uuid[8] = static_cast<std::uint8_t>((uuid[8] & 0x3F) | 0x80);
  return uuid;
}

sif::SifLayout layout_of(const LoadedImage& image, const ImageIdentity& identity) {
  sif::SifLayout layout;
  layout.go_arch = identity.go_arch;
  layout.uuid = uuid_of(image.config_digest);
  layout.created = image.config.created;
  layout.texts = sif_texts(image.config, identity);
  return layout;
}

ImageIdentity identity_of(const LoadedImage& image) {
  // Images of Docker's early days do not tell; there was only one architecture then.
  const std::string arch = image.config.architecture.empty() ? "amd64" : image.config.architecture;
  if (arch != sif::host_go_arch()) {
    base::log_info("the image is for ", base::printable(arch), ", this machine is ",
                   sif::host_go_arch());
  }
  return {image.reference, image.config_digest, arch};
}

sif::Tree merge_layers(const std::vector<LayerBlob>& blobs, const LayerData& data) {
  sif::Tree tree;
  for (const LayerBlob& blob : blobs) {
    const FileSource& tar = data.tar(blob);
    base::log_verbose("reading ", base::printable(blob.name), ", ", base::human_size(tar.size()),
                      ", ", compression_name(blob.compression));
    apply_layer(tree, index_layer(tar, tar.size(), blob.name));
  }
  return tree;
}

// Compresses while the plain layers are being verified; the failure of one ends the other.
sif::SquashfsStats write_verified(const sif::Tree& tree, LayerData& data, int fd,
                                  std::uint64_t offset, const sif::SquashfsOptions& options,
                                  sif::WriteProgress& progress) {
  std::future<sif::SquashfsStats> writing = std::async(std::launch::async, [&] {
    const OnFailure stop([&] { data.stop(); });
    return sif::write_squashfs(tree, fd, offset, options, progress);
  });
  {
    // First, because writing only knows that it was cancelled, not why.
    const OnFailure cancel([&] { progress.cancelled = true; });
    data.verify_plain_layers();
  }
  return writing.get();
}

std::uint32_t squashfs_time(std::int64_t seconds) {
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(seconds, 0, std::numeric_limits<std::uint32_t>::max()));
}

}  // namespace

ConvertResult convert(const ConvertOptions& options, int fd, ConvertProgress& progress) {
  const FileSource archive = open_archive(options.source, options.spool_folder, progress);
  const ArchiveMembers members(archive);
  const std::vector<ArchivedImage> images = list_images(members);
  const LoadedImage image =
      load_image(members, select_image(images, options.source.reference, archive.name()),
                 options.source.reference);
  const ImageIdentity identity = identity_of(image);
  LayerData data(image.layers, options.spool_folder, options.squashfs.threads, progress);

  sif::Tree tree = merge_layers(image.layers, data);
  const auto generated =
      add_singularity_d(tree, singularity_files(image.config, identity), image.config.created);
  progress.phase = Phase::compressing;

  const sif::SifLayout layout = layout_of(image, identity);
  const std::uint64_t offset = sif::partition_offset(layout);
  sif::SquashfsOptions squashfs = options.squashfs;
  squashfs.modified_time = squashfs_time(image.config.created);
  const sif::SquashfsStats stats = write_verified(tree, data, fd, offset, squashfs, progress.write);
  sif::write_sif_around_partition(fd, layout, stats.image_bytes);
  return {.reference = image.reference,
          .image_id = image.config_digest,
          .architecture = identity.go_arch,
          .layers = image.layers.size(),
          .source_bytes = archive.size(),
          .sif_bytes = offset + stats.image_bytes,
          .squashfs = stats};
}

}  // namespace oci
