// SPDX-License-Identifier: Apache-2.0
#include "oci/docker_archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "oci/archive_members.h"
#include "oci/digest.h"
#include "tests/unit/oci/archive_builder.h"

namespace oci {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

const std::string kDiffId = "sha256:" + std::string(64, 'a');
const std::string kConfig = R"({"rootfs": {"diff_ids": [")" + kDiffId + R"("]}})";

ArchiveMembers archive(const std::string& manifest, const std::string& config = kConfig) {
  return ArchiveMembers(memory_file(ArchiveBuilder()
                                        .file("manifest.json", manifest)
                                        .file("c.json", config)
                                        .file("d.json", config)
                                        .file("l/layer.tar", "\x1f\x8b\x08 compressed")
                                        .bytes()));
}

ArchivedImage image(const std::vector<std::string>& references, const std::string& config) {
  ArchivedImage made;
  made.references = references;
  made.config_path = config;
  return made;
}

TEST(ShortReference, GivesOneForm) {
  EXPECT_EQ(short_reference("debian"), "debian:latest");
  EXPECT_EQ(short_reference("docker.io/library/debian:12"), "debian:12");
  EXPECT_EQ(short_reference("index.docker.io/user/x"), "user/x:latest");
  EXPECT_EQ(short_reference("localhost:5000/x"), "localhost:5000/x:latest");
  EXPECT_EQ(short_reference("x@sha256:1"), "x@sha256:1");
}

TEST(PromisedDigest, KnowsWhereDigestsAreNames) {
  const std::string hex(64, 'b');
  EXPECT_EQ(promised_digest("blobs/sha256/" + hex), "sha256:" + hex);
  EXPECT_EQ(promised_digest(hex + ".json"), "sha256:" + hex);
  for (const std::string& path :
       {hex + "/layer.tar", hex + ".tar", "x/" + hex, std::string("c.json")})
    EXPECT_EQ(promised_digest(path), "") << path;
}

TEST(ListImages, UnitesTagsOfOneImage) {
  const auto images = list_images(archive(R"([
      {"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["l/layer.tar"]},
      {"Config": "d.json", "RepoTags": null, "Layers": []},
      {"Config": "c.json", "RepoTags": ["docker.io/library/a:2", "a:1"], "Layers": ["l/layer.tar"]}])"));
  ASSERT_THAT(images, SizeIs(2));
  EXPECT_THAT(images[0].references, ElementsAre("a:1", "a:2"));
  EXPECT_THAT(images[0].layer_paths, ElementsAre("l/layer.tar"));
}

TEST(SelectImage, ByNameAndId) {
  const std::string id(64, 'c');
  const std::vector<ArchivedImage> images = {image({"a:1", "a:latest"}, id + ".json"),
                                             image({}, "d.json")};
  for (const std::string& reference :
       {std::string("a:1"), std::string("a"), std::string("docker.io/library/a"), id.substr(0, 12),
        "sha256:" + id})
    EXPECT_EQ(&select_image(images, reference, "x.tar"), &images[0]) << reference;
  EXPECT_THAT(message_of([&] { select_image(images, id.substr(0, 11), "x.tar"); }),
              HasSubstr("holds no image ccccccccccc, only: a:1, a:latest, d.json (unnamed)"));
  EXPECT_THAT(message_of([&] { select_image(images, "", "x.tar"); }),
              HasSubstr("x.tar holds 2 images: a:1, a:latest, d.json (unnamed)"));
}

TEST(LoadImage, FindsLayersAndTheirCompression) {
  const ArchiveMembers members =
      archive(R"([{"Config": "c.json", "RepoTags": ["a:1", "a:2"], "Layers": ["l/layer.tar"]}])");
  const LoadedImage loaded =
      load_image(members, list_images(members).front(), "docker.io/library/a:2");
  EXPECT_EQ(loaded.reference, "a:2");
  EXPECT_EQ(loaded.config_digest, sha256_digest(kConfig));
  ASSERT_THAT(loaded.layers, SizeIs(1));
  EXPECT_EQ(loaded.layers[0].compression, Compression::gzip);
  EXPECT_EQ(loaded.layers[0].diff_id, kDiffId);
  EXPECT_EQ(loaded.layers[0].name, "layer 1 of 1 (l/layer.tar)");
}

TEST(LoadImage, CountsLayers) {
  const ArchiveMembers members = archive(R"([{"Config": "c.json", "Layers": []}])");
  EXPECT_THAT(message_of([&] { load_image(members, list_images(members).front(), ""); }),
              HasSubstr("diff_ids has 1 entries, but manifest.json lists 0 layers"));
}

}  // namespace
}  // namespace oci
