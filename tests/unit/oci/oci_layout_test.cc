// SPDX-License-Identifier: Apache-2.0
#include "oci/oci_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "oci/archive_members.h"
#include "oci/digest.h"
#include "sif/sif_format.h"
#include "tests/unit/oci/archive_builder.h"

namespace oci {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class OciLayoutTest : public ::testing::Test {
 protected:
  std::string blob(const std::string& text) {
    const std::string digest = sha256_digest(text);
    builder_.file("blobs/sha256/" + digest.substr(7), text);
    return digest;
  }
  std::string manifest(const std::string& layer) {
    return blob(R"({"config": {"digest": ")" + blob("{}") + R"("}, "layers": [{"digest": ")" +
                sha256_digest(layer) + R"(", "mediaType": "t"}]})");
  }
  std::vector<ArchivedImage> list(const std::string& descriptors) {
    builder_.file("index.json", R"({"manifests": [)" + descriptors + "]}");
    return list_oci_images(ArchiveMembers(memory_file(builder_.bytes())));
  }
  static std::string descriptor(const std::string& digest, const std::string& more = "") {
    return R"({"digest": ")" + digest + "\"" + more + "}";
  }
  static std::string platform(const std::string& arch, const std::string& os = "linux") {
    return R"(, "platform": {"os": ")" + os + R"(", "architecture": ")" + arch + "\"}";
  }

  ArchiveBuilder builder_;
};

TEST_F(OciLayoutTest, ReadsManifestsAndNames) {
  const auto images = list(descriptor(
      manifest("l"), R"(, "annotations": {"io.containerd.image.name": "docker.io/library/a:1"})"));
  ASSERT_THAT(images, SizeIs(1));
  EXPECT_THAT(images[0].references, ElementsAre("a:1"));
  EXPECT_THAT(images[0].layer_paths, ElementsAre("blobs/sha256/" + sha256_digest("l").substr(7)));
}

TEST_F(OciLayoutTest, PrefersThisMachineAndSkipsAttestations) {
  const std::string host(sif::host_go_arch());
  const std::string ours = manifest("ours");
  const std::string nested =
      blob(R"({"manifests": [)" + descriptor(manifest("a"), platform("mips")) + "," +
           descriptor(manifest("b"), platform("unknown", "unknown")) + "," +
           descriptor(sha256_digest("absent"), platform("s390x")) + "," +
           descriptor(ours, platform(host)) + "]}");
  const auto images = list(descriptor(nested));
  ASSERT_THAT(images, SizeIs(1));
  EXPECT_EQ(images[0].document, "blobs/sha256/" + ours.substr(7));
}

TEST_F(OciLayoutTest, LimitsNesting) {
  std::string digest = manifest("l");
  for (int i = 0; i < 6; ++i) digest = blob(R"({"manifests": [)" + descriptor(digest) + "]}");
  EXPECT_THAT(message_of([&] { list(descriptor(digest)); }), HasSubstr("nested deeper than"));
}

TEST_F(OciLayoutTest, VerifiesDigests) {
  const std::string digest = sha256_digest("expected");
  builder_.file("blobs/sha256/" + digest.substr(7), "changed");
  EXPECT_THAT(message_of([&] { list(descriptor(digest)); }),
              HasSubstr("is corrupt: its digest is " + sha256_digest("changed")));
}

TEST_F(OciLayoutTest, RefusesOtherDigests) {
  EXPECT_THAT(message_of([&] { list(descriptor("sha256:../../x")); }),
              HasSubstr("not a sha256 digest: sha256:../../x"));
}

TEST_F(OciLayoutTest, TellsArtifactsFromImages) {
  const std::string artifact =
      blob(R"({"config": {"mediaType": "application/x", "digest": ")" + blob("{}") + "\"}}");
  EXPECT_THAT(message_of([&] { list(descriptor(artifact)); }),
              HasSubstr("holds no image but application/x"));
}

}  // namespace
}  // namespace oci
