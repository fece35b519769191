// SPDX-License-Identifier: Apache-2.0
// What `inspect` shows of an image: labels, scripts and the apps of the Scientific Filesystem, in
// the form of the SIF object inspect-metadata.json, which image builders write so that nobody needs
// to look into the file system for them.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace oci {

using TextMap = std::map<std::string, std::string>;

struct AppMetadata {
  TextMap environment;  // path in the image -> text
  TextMap labels;
  std::string runscript, startscript, test, helpfile;
};

struct ImageMetadata : AppMetadata {
  std::map<std::string, AppMetadata> apps;
  std::string deffile;
};

inline constexpr std::string_view kMetadataObject = "inspect-metadata.json";

// Throws Error for what is no such document; keys that are unknown are ignored.
ImageMetadata parse_image_metadata(std::string_view text, const std::string& name);
// Labels as the file labels.json has them.
TextMap parse_labels(std::string_view text, const std::string& name);

// The document, indented by tabs; what is empty is left out.
std::string metadata_document(const ImageMetadata& metadata);

}  // namespace oci
