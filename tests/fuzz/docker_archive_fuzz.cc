// SPDX-License-Identifier: Apache-2.0
// A whole archive from its bytes: members, documents, layers, and the merge with /.singularity.d.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "oci/archive_members.h"
#include "oci/docker_archive.h"
#include "oci/layer_data.h"
#include "oci/merged_tree.h"
#include "oci/singularity_d.h"
#include "sif/tree_plan.h"

namespace {

void read_images(const oci::FileSource& archive) {
  const oci::ArchiveMembers members(archive);
  for (const oci::ArchivedImage& image : oci::list_images(members)) {
    const oci::LoadedImage loaded = oci::load_image(members, image, "");
    // Digests are what a fuzzer cannot guess, so layers are read although they are wrong.
    sif::Tree tree;
    for (const oci::LayerBlob& blob : loaded.layers) {
      if (blob.compression == oci::Compression::none)
        oci::apply_layer(tree, oci::index_layer(blob.stored, blob.stored.size(), blob.name));
    }
    const oci::ImageIdentity identity{loaded.reference, loaded.config_digest, "amd64"};
    const auto contents =
        oci::add_singularity_d(tree, oci::singularity_files(loaded.config, identity), 0);
    const sif::TreePlan plan(tree);
    oci::sif_texts(loaded.config, identity);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  base::set_log_level(base::LogLevel::fatal);
  auto file = std::make_shared<const base::UniqueFd>(::memfd_create("archive", MFD_CLOEXEC));
  try {
    base::write_all(file->get(), std::as_bytes(std::span(data, size)), "archive");
    read_images(oci::FileSource(file, 0, size, "archive"));
  } catch (const base::Error&) {
  }
  return 0;
}
