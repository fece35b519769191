// SPDX-License-Identifier: Apache-2.0
// What a Singularity image has beyond the Docker image's own files: /.singularity.d with the
// environment scripts, the run script and the labels, links to them in the root, and the folders
// that a runtime mounts on. The files behave as those of Apptainer's own builds, so that its exec,
// run and inspect find what they expect.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "oci/image_config.h"
#include "sif/sif_writer.h"
#include "sif/tree.h"

namespace oci {

// What all generated texts derive from. Holds image data only, so that the same image gives the
// same bytes wherever and whenever it is converted.
struct ImageIdentity {
  std::string reference;      // "debian:12"; empty for an image without a name
  std::string config_digest;  // the image ID, "sha256:..."
  std::string go_arch;
};

struct SingularityFile {
  std::string path;  // absolute
  std::uint16_t mode;
  std::string content;
};

std::string definition_file(const ImageIdentity& identity);
std::string environment_script(const ImageConfig& config);
std::string run_script(const ImageConfig& config);
std::string labels_json(const ImageConfig& config, const ImageIdentity& identity);

// What a container is set up over, and every image gets that lacks it: folders of the root, and
// empty files of its /etc.
struct NeededFolder {
  std::string_view path;
  std::uint16_t mode;
  bool may_be_link;  // distributions link /home or /tmp elsewhere; on a linked /dev nothing can be
                     // mounted
};
std::span<const NeededFolder> needed_folders();
std::span<const std::string_view> needed_files();

// All files of /.singularity.d.
std::vector<SingularityFile> singularity_files(const ImageConfig& config,
                                               const ImageIdentity& identity);

// The definition file and the two JSON objects that precede the partition in the SIF.
std::vector<sif::SifText> sif_texts(const ImageConfig& config, const ImageIdentity& identity);

// Adds files, links and folders to the image's tree; its own entries give way only below
// /.singularity.d and where a folder is indispensable. The result holds the contents and must
// outlive the tree. `mtime` is given to everything made.
std::vector<std::unique_ptr<sif::DataSource>> add_singularity_d(
    sif::Tree& tree, const std::vector<SingularityFile>& files, std::int64_t mtime);

}  // namespace oci
