// SPDX-License-Identifier: Apache-2.0
#include "oci/oci_layout.h"

#include <algorithm>
#include <array>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "oci/digest.h"
#include "sif/sif_format.h"

namespace oci {
namespace {

constexpr int kMaxIndexDepth = 4;
constexpr std::size_t kMaxManifests = 10'000;

// The first is taken; unknown ones come last.
constexpr std::array<std::string_view, 5> kAmd64Variants = {"", "v1", "v2", "v3", "v4"};
constexpr std::array<std::string_view, 3> kArm64Variants = {"v8", "", "v9"};
constexpr std::array<std::string_view, 4> kArmVariants = {"v7", "", "v6", "v5"};

// A place to go to, with what the indexes above it said.
struct Pending {
  JsonValue descriptor;
  std::vector<std::string> references;
  int depth = 0;
};

struct Candidate {
  ArchivedImage image;
  std::string platform;  // "linux/amd64"; empty when the index does not tell
};

bool is_index(const std::string& media_type) {
  return media_type == "application/vnd.oci.image.index.v1+json" ||
         media_type == "application/vnd.docker.distribution.manifest.list.v2+json";
}

bool is_image_config(const std::string& media_type) {
  return media_type.empty() || media_type == "application/vnd.oci.image.config.v1+json" ||
         media_type == "application/vnd.docker.container.image.v1+json";
}

std::string blob_path(const JsonValue& descriptor) {
  const std::string digest = descriptor.get("digest").text();
  if (!is_sha256_digest(digest))
    throw base::error(descriptor.place(), ": not a sha256 digest: ", base::printable(digest));
  return "blobs/sha256/" + digest.substr(7);
}

// containerd records the whole name, others at most the tag; some both.
std::vector<std::string> references_of(const JsonValue& descriptor) {
  const std::map<std::string, std::string> notes = descriptor.text_map_of("annotations");
  std::vector<std::string> references;
  if (const auto name = notes.find("io.containerd.image.name"); name != notes.end())
    references.push_back(short_reference(name->second));
  if (const auto tag = notes.find("org.opencontainers.image.ref.name"); tag != notes.end()) {
    const bool is_name = tag->second.find_first_of("/:") != std::string::npos;
    std::string reference = is_name ? short_reference(tag->second) : tag->second;
    if (references.empty() || references.front() != reference)
      references.push_back(std::move(reference));
  }
  return references;
}

bool is_attestation(const JsonValue& descriptor) {
  if (descriptor.text_map_of("annotations").contains("vnd.docker.reference.type")) return true;
  const std::optional<JsonValue> platform = descriptor.find("platform");
  return platform && platform->text_of("os") == "unknown";
}

std::string platform_of(const JsonValue& descriptor) {
  const std::optional<JsonValue> platform = descriptor.find("platform");
  return platform ? platform->text_of("os") + "/" + platform->text_of("architecture") : "";
}

std::span<const std::string_view> variants_of(std::string_view architecture) {
  if (architecture == "arm") return kArmVariants;
  if (architecture == "arm64") return kArm64Variants;
  return kAmd64Variants;
}

// Of the variants of one architecture, how far from what all its machines run, or for arm the last
// of the 32-bit ones.
std::size_t variant_rank(const JsonValue& descriptor) {
  const std::optional<JsonValue> platform = descriptor.find("platform");
  if (!platform) return 0;
  const std::span<const std::string_view> order = variants_of(platform->text_of("architecture"));
  return static_cast<std::size_t>(std::ranges::find(order, platform->text_of("variant")) -
                                  order.begin());
}

ArchivedImage image_of(const JsonValue& manifest, const std::string& path,
                       std::vector<std::string> references) {
  ArchivedImage image{.references = std::move(references), .document = path};
  image.config_path = blob_path(manifest.get("config"));
  for (const JsonValue& layer : manifest.items_of("layers")) {
    image.layer_paths.push_back(blob_path(layer));
    image.media_types.push_back(layer.text_of("mediaType"));
  }
  return image;
}

// Nothing is thrown where an image is of unknown platform.
void refuse_other_platforms(const std::string& name, const std::string& preferred,
                            std::vector<std::string> platforms) {
  if (platforms.empty() || std::ranges::find(platforms, "") != platforms.end()) return;
  for (std::string& platform : platforms) platform = base::printable(platform);
  throw base::error(base::printable(name), " holds no image for ", base::printable(preferred),
                    ", only for ", base::join(platforms, ", "))
      .with_hint("--arch chooses an image for another machine");
}

// Of the platforms under one name the preferred one, or the only one.
std::vector<ArchivedImage> choose_platforms(const std::string& name,
                                            std::vector<Candidate> candidates,
                                            const std::string& preferred) {
  std::set<std::vector<std::string>> served;
  std::vector<ArchivedImage> chosen;
  for (const Candidate& candidate : candidates) {
    if (candidate.platform != preferred) continue;
    served.insert(candidate.image.references);
    chosen.push_back(candidate.image);
  }
  const bool are_several = candidates.size() > 1;
  if (are_several && chosen.empty() &&
      std::ranges::all_of(candidates, [&](const Candidate& candidate) {
        return candidate.image.references == candidates.front().image.references;
      })) {
    std::vector<std::string> platforms;
    for (const Candidate& candidate : candidates) platforms.push_back(candidate.platform);
    refuse_other_platforms(name, preferred, std::move(platforms));
  }
  for (Candidate& candidate : candidates) {
    if (!served.contains(candidate.image.references)) chosen.push_back(std::move(candidate.image));
  }
  return chosen;
}

// What to look at of an index: others need not even be fetched where the preferred platform is.
std::vector<JsonValue> wanted_items(const ImageMembers& members, const JsonValue& index,
                                    const std::string& preferred) {
  std::vector<JsonValue> items = index.items_of("manifests");
  std::erase_if(items, [&](const JsonValue& item) {
    return is_attestation(item) || !members.contains(blob_path(item));
  });
  std::ranges::stable_sort(items, {}, variant_rank);
  const auto found = std::ranges::find(items, preferred, platform_of);
  if (found != items.end()) return {*found};
  std::vector<std::string> platforms;
  for (const JsonValue& item : items) platforms.push_back(platform_of(item));
  refuse_other_platforms(members.name(), preferred, std::move(platforms));
  return items;
}

// Walks one descriptor: an index adds to `pending`, an image manifest to `found`.
void visit(const ImageMembers& members, const Pending& place, const std::string& preferred,
           std::vector<Pending>& pending, std::vector<Candidate>& found,
           std::string& skipped_type) {
  const std::string path = blob_path(place.descriptor);
  if (is_attestation(place.descriptor) || !members.contains(path)) return;
  const JsonValue document = parse_document(members, path, "the manifest", "index.json");
  if (is_index(place.descriptor.text_of("mediaType")) || document.find("manifests")) {
    if (place.depth >= kMaxIndexDepth)
      throw base::error(document.place(), "indexes nested deeper than ", kMaxIndexDepth);
    const std::vector<JsonValue> items = wanted_items(members, document, preferred);
    for (auto item = items.rbegin(); item != items.rend(); ++item)
      pending.push_back({*item, place.references, place.depth + 1});
    return;
  }
  if (!document.find("config") && document.find("fsLayers")) {
    throw base::error(document.place(),
                      "an image manifest of Docker's version 2, schema 1, which "
                      "no engine has written since 2017")
        .with_hint("docker pull and docker push it once to convert it");
  }
  const std::string config_type = document.get("config").text_of("mediaType");
  if (!is_image_config(config_type)) {
    skipped_type = config_type;
    return;
  }
  found.push_back({image_of(document, path, place.references), platform_of(place.descriptor)});
}

}  // namespace

std::string read_document(const ImageMembers& members, const std::string& path,
                          std::string_view what, std::string_view document) {
  const FileSource source = members.open(path, what, document);
  std::string text = read_text(source, kMaxJsonSize);
  const std::string expected = promised_digest(path);
  if (expected.empty()) return text;
  if (const std::string actual = sha256_digest(text); actual != expected) {
    throw base::error(base::printable(source.name()), " is corrupt: its digest is ", actual,
                      ", expected ", expected);
  }
  return text;
}

JsonValue parse_document(const ImageMembers& members, const std::string& path,
                         std::string_view what, std::string_view document) {
  return JsonValue::parse(read_document(members, path, what, document),
                          members.name() + ": " + path);
}

std::vector<ArchivedImage> list_oci_images(const ImageMembers& members,
                                           const std::string& go_arch) {
  const std::string preferred = "linux/" + go_arch;
  const JsonValue index = parse_document(members, "index.json", "the document", "the archive");
  std::vector<Candidate> found;
  std::vector<Pending> pending;
  std::string skipped_type;
  std::vector<JsonValue> items = index.items_of("manifests");
  for (auto item = items.rbegin(); item != items.rend(); ++item)
    pending.push_back({*item, references_of(*item), 0});
  for (std::size_t visited = 0; !pending.empty(); ++visited) {
    if (visited + pending.size() > kMaxManifests)
      throw base::error(index.place(), "more than ", kMaxManifests, " manifests");
    const Pending place = std::move(pending.back());
    pending.pop_back();
    visit(members, place, preferred, pending, found, skipped_type);
  }
  if (found.empty() && !skipped_type.empty()) {
    throw base::error(base::printable(members.name()), " holds no image but ",
                      base::printable(skipped_type), ", which is not supported");
  }
  return choose_platforms(members.name(), std::move(found), preferred);
}

}  // namespace oci
