// SPDX-License-Identifier: Apache-2.0
#include "oci/docker_archive.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "oci/digest.h"
#include "oci/json.h"
#include "oci/oci_layout.h"

namespace oci {
namespace {

constexpr std::size_t kMaxImages = 10'000;
constexpr std::size_t kShortIdSize = 12;

std::vector<ArchivedImage> list_manifest_images(const ImageMembers& members) {
  const std::string document = "manifest.json";
  const JsonValue manifest = parse_document(members, document, "the document", "the archive");
  std::vector<ArchivedImage> images;
  for (const JsonValue& item : manifest.items()) {
    ArchivedImage image{.document = document};
    for (const std::string& tag : item.texts_of("RepoTags"))
      image.references.push_back(short_reference(tag));
    image.config_path = item.get("Config").text();
    image.layer_paths = item.texts_of("Layers");
    images.push_back(std::move(image));
    if (images.size() > kMaxImages)
      throw base::error(manifest.place(), "more than ", kMaxImages, " images");
  }
  return images;
}

// Two tags of one image may be two entries.
std::vector<ArchivedImage> unite_same_images(std::vector<ArchivedImage> images) {
  std::map<std::string, std::size_t> by_config;
  std::vector<ArchivedImage> united;
  for (ArchivedImage& image : images) {
    const auto [known, is_new] = by_config.emplace(image.config_path, united.size());
    if (is_new) {
      united.push_back(std::move(image));
      continue;
    }
    std::vector<std::string>& references = united[known->second].references;
    for (std::string& reference : image.references) {
      if (std::ranges::find(references, reference) == references.end())
        references.push_back(std::move(reference));
    }
  }
  return united;
}

// The image ID as far as the configuration's name tells it.
std::string id_of(const ArchivedImage& image) {
  const std::string digest = promised_digest(image.config_path);
  return digest.empty() ? image.config_path : digest.substr(7);
}

std::string listing(const std::vector<ArchivedImage>& images) {
  std::vector<std::string> names;
  for (const ArchivedImage& image : images) {
    for (const std::string& reference : image.references)
      names.push_back(base::printable(reference));
    if (image.references.empty())
      names.push_back(base::printable(id_of(image).substr(0, kShortIdSize)) + " (unnamed)");
  }
  return base::join(names, ", ");
}

bool is_called(const ArchivedImage& image, const std::string& reference) {
  const auto has = [&](const std::string& name) {
    return std::ranges::find(image.references, name) != image.references.end();
  };
  if (has(reference) || has(short_reference(reference))) return true;
  std::string_view id = reference;
  if (id.starts_with("sha256:")) id.remove_prefix(7);
  return id.size() >= kShortIdSize && id_of(image).starts_with(id);
}

void check_media_type(const std::string& type, const std::string& layer) {
  if (type.find("encrypted") != std::string::npos)
    throw base::error(layer, " is encrypted (", base::printable(type), "), which is not supported");
}

LayerBlob open_layer(const ImageMembers& members, const ArchivedImage& image, std::size_t index,
                     const std::string& diff_id) {
  const std::string& path = image.layer_paths[index];
  const std::string name =
      base::cat("layer ", index + 1, " of ", image.layer_paths.size(), " (", path, ")");
  const std::string media_type =
      index < image.media_types.size() ? image.media_types[index] : std::string();
  check_media_type(media_type, base::printable(members.name() + ": " + name));
  const bool foreign = media_type.find("foreign") != std::string::npos ||
                       media_type.find("nondistributable") != std::string::npos;
  const std::optional<std::string> clean = clean_member_path(path);
  if (foreign && clean && !members.contains(*clean)) {
    throw base::error(base::printable(members.name() + ": " + name),
                      " is a foreign layer that the archive does not hold");
  }
  FileSource stored = members.open(path, "the layer", image.document);
  std::array<std::byte, kMagicSize> magic{};
  const std::size_t count = std::min<std::size_t>(stored.size(), magic.size());
  stored.read_at(0, std::span(magic).first(count));
  const Compression compression = detect_compression(std::span(magic).first(count));
  return {std::move(stored), compression, diff_id, promised_digest(path), name};
}

}  // namespace

std::string short_reference(std::string_view reference) {
  for (const std::string_view prefix :
       {"docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/"}) {
    if (!reference.starts_with(prefix)) continue;
    reference.remove_prefix(prefix.size());
    break;
  }
  const std::size_t slash = reference.rfind('/');
  const std::string_view last =
      slash == std::string_view::npos ? reference : reference.substr(slash + 1);
  const bool has_tag = last.find_first_of(":@") != std::string_view::npos;
  return std::string(reference) + (has_tag ? "" : ":latest");
}

std::string promised_digest(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  const std::string_view folder = slash == std::string_view::npos ? "" : path.substr(0, slash);
  std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  if (folder.empty() && name.ends_with(".json"))
    name.remove_suffix(5);
  else if (folder.empty() && name.starts_with("sha256:"))
    name.remove_prefix(7);
  else if (folder != "blobs/sha256" && folder != "./blobs/sha256")
    return "";
  return is_sha256_hex(name) ? "sha256:" + std::string(name) : "";
}

std::vector<ArchivedImage> list_images(const ImageMembers& members, const std::string& go_arch) {
  const std::string name = base::printable(members.name());
  std::vector<ArchivedImage> images;
  if (members.contains("manifest.json")) {
    images = list_manifest_images(members);
  } else if (members.contains("index.json")) {
    images = list_oci_images(members, go_arch);
  } else if (members.contains("repositories")) {
    throw base::error(name, " has no manifest.json: Docker older than 1.10 wrote it")
        .with_hint("`docker load` it into a newer Docker and save it again");
  } else {
    throw base::error(name,
                      " is a tar archive, but not an image: it has neither manifest.json "
                      "nor index.json")
        .with_hint("`docker save` writes images; `docker export` writes only files");
  }
  if (images.empty()) throw base::error(name, " holds no image");
  return unite_same_images(std::move(images));
}

bool has_image(const std::vector<ArchivedImage>& images, const std::string& reference) {
  return std::ranges::any_of(
      images, [&](const ArchivedImage& image) { return is_called(image, reference); });
}

const ArchivedImage& select_image(const std::vector<ArchivedImage>& images,
                                  const std::string& reference, const std::string& archive_name) {
  const std::string name = base::printable(archive_name);
  if (reference.empty()) {
    if (images.size() == 1) return images.front();
    throw base::error(name, " holds ", images.size(), " images: ", listing(images))
        .with_hint("choose one with --ref NAME:TAG");
  }
  const ArchivedImage* found = nullptr;
  for (const ArchivedImage& image : images) {
    if (!is_called(image, reference)) continue;
    if (found != nullptr)
      throw base::error(name, ": more than one image is called ", base::printable(reference));
    found = &image;
  }
  if (found == nullptr) {
    throw base::error(name, " holds no image ", base::printable(reference),
                      ", only: ", listing(images));
  }
  return *found;
}

LoadedImage load_image(const ImageMembers& members, const ArchivedImage& image,
                       const std::string& reference) {
  const std::string text =
      read_document(members, image.config_path, "the configuration", image.document);
  const std::string place = members.name() + ": " + image.config_path;
  LoadedImage loaded{.config_digest = sha256_digest(text),
                     .config = parse_image_config(text, place)};
  if (!image.references.empty()) loaded.reference = image.references.front();
  const std::string wanted = short_reference(reference);
  if (std::ranges::find(image.references, wanted) != image.references.end())
    loaded.reference = wanted;
  if (!loaded.config.os.empty() && loaded.config.os != "linux") {
    throw base::error(base::printable(members.name()), " holds an image for ",
                      base::printable(loaded.config.os), ", not for linux");
  }
  if (loaded.config.diff_ids.size() != image.layer_paths.size()) {
    throw base::error(base::printable(place), ": rootfs.diff_ids has ",
                      loaded.config.diff_ids.size(), " entries, but ", image.document, " lists ",
                      image.layer_paths.size(), " layers");
  }
  members.expect(image.layer_paths);
  for (std::size_t i = 0; i < image.layer_paths.size(); ++i)
    loaded.layers.push_back(open_layer(members, image, i, loaded.config.diff_ids[i]));
  return loaded;
}

}  // namespace oci
