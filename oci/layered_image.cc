// SPDX-License-Identifier: Apache-2.0
// Archive, layout folder, engine or registry -> layers -> merged tree with /.singularity.d.
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "oci/docker_archive.h"
#include "oci/flat_image.h"
#include "oci/layer_data.h"
#include "oci/merged_tree.h"
#include "oci/oci_layout.h"
#include "oci/singularity_d.h"
#include "sif/sif_format.h"

namespace oci {
namespace {

LoadedImage load(const ImageMembers& members, const FlattenOptions& options) {
  const std::string go_arch =
      options.go_arch.empty() ? std::string(sif::host_go_arch()) : options.go_arch;
  const std::string& reference = options.source.reference;
  std::vector<ArchivedImage> images = list_images(members, go_arch);
  // Where Docker has written both, tools for OCI layouts know images by the names in the other.
  if (!reference.empty() && members.contains("manifest.json") && members.contains("index.json") &&
      !has_image(images, reference)) {
    std::vector<ArchivedImage> others = list_oci_images(members, go_arch);
    if (has_image(others, reference)) images = std::move(others);
  }
  LoadedImage image =
      load_image(members, select_image(images, reference, members.name()), reference);
  // Images of Docker's early days do not tell; there was only one architecture then.
  if (image.config.architecture.empty()) image.config.architecture = "amd64";
  const std::string& arch = image.config.architecture;
  if (!options.go_arch.empty() && arch != options.go_arch) {
    base::log_warning("the only image is for ", base::printable(arch), ", not for ",
                      base::printable(options.go_arch));
  } else if (arch != go_arch) {
    base::log_info("the image is for ", base::printable(arch), ", this machine is ", go_arch);
  }
  return image;
}

class LayeredImage : public FlatImage {
 public:
  LayeredImage(const FlattenOptions& options, ConvertProgress& progress)
      : members_(open_members(options.source, options.spool_folder, progress)),
        image_(load(*members_, options)),
        data_(*members_, image_.layers, options.spool_folder, options.threads, progress) {
    for (const LayerBlob& blob : image_.layers) {
      const FileSource& tar = data_.tar(blob);
      base::log_verbose("reading ", base::printable(blob.name), ", ", base::human_size(tar.size()),
                        ", ", compression_name(blob.compression));
      apply_layer(tree_, index_layer(tar, tar.size(), blob.name));
    }
    const ImageIdentity identity{image_.reference, image_.config_digest,
                                 image_.config.architecture};
    generated_ =
        add_singularity_d(tree_, singularity_files(image_.config, identity), image_.config.created);
    layout.go_arch = identity.go_arch;
    layout.uuid = uuid_of(image_.config_digest);
    layout.created = image_.config.created;
    layout.texts = sif_texts(image_.config, identity);
    reference = image_.reference;
    id = image_.config_digest;
    layers = image_.layers.size();
    source_bytes = members_->size();
  }

  const sif::Tree& tree() const override { return tree_; }
  void verify() override { data_.verify_plain_layers(); }
  void stop() override { data_.stop(); }

 private:
  std::unique_ptr<ImageMembers> members_;
  LoadedImage image_;
  LayerData data_;
  sif::Tree tree_;
  std::vector<std::unique_ptr<sif::DataSource>> generated_;
};

}  // namespace

std::unique_ptr<FlatImage> flatten_layers(const FlattenOptions& options,
                                          ConvertProgress& progress) {
  return std::make_unique<LayeredImage>(options, progress);
}

}  // namespace oci
