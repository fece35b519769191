// SPDX-License-Identifier: Apache-2.0
#include "oci/layer_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include "oci/archive_members.h"
#include "oci/digest.h"
#include "tests/unit/oci/archive_builder.h"

namespace oci {
namespace {

using ::testing::HasSubstr;

// Where nothing is hashed beforehand.
const ArchiveMembers& members() {
  static const ArchiveMembers empty(memory_file(ArchiveBuilder().bytes()));
  return empty;
}

LayerBlob blob(FileSource stored, const std::string& diff_id, const std::string& name = "layer") {
  return {std::move(stored), Compression::none, diff_id, "", name};
}

LayerBlob packed_blob(const std::string& text, const std::string& diff_id) {
  std::string data(ZSTD_compressBound(text.size()), '\0');
  data.resize(ZSTD_compress(data.data(), data.size(), text.data(), text.size(), 1));
  LayerBlob made = blob(memory_file(data), diff_id, "packed");
  made.compression = Compression::zstd;
  made.blob_digest = sha256_digest(data);
  return made;
}

std::string message(const std::vector<LayerBlob>& blobs) {
  return message_of([&] {
    ConvertProgress progress;
    LayerData(members(), blobs, "/tmp", 4, progress).verify_plain_layers();
  });
}

TEST(LayerData, InflatesAndVerifies) {
  // All blobs are parts of one archive, and known by their position in it.
  std::vector<LayerBlob> blobs = {packed_blob("text", sha256_digest("text"))};
  const std::string packed = read_text(blobs[0].stored, 100);
  const FileSource archive = memory_file(packed + "plain");
  blobs[0].stored = archive.part(0, packed.size(), "packed");
  blobs.push_back(blob(archive.part(packed.size(), 5, "plain"), sha256_digest("plain")));
  ConvertProgress progress;
  const LayerData data(members(), blobs, "/tmp", 4, progress);
  EXPECT_EQ(read_text(data.tar(blobs[0]), 100), "text");
  EXPECT_EQ(read_text(data.tar(blobs[1]), 100), "plain");
  EXPECT_EQ(progress.read_done, blobs[0].stored.size());
  EXPECT_EQ(message(blobs), "no error");
}

TEST(LayerData, NamesTheWrongLayer) {
  const std::string wrong = sha256_digest("other");
  EXPECT_EQ(message({packed_blob("text", wrong)}),
            "packed is corrupt: its diff ID is " + sha256_digest("text") + ", expected " + wrong);
  EXPECT_EQ(message({blob(memory_file("plain"), wrong, "layer 1")}),
            "layer 1 is corrupt: its diff ID is " + sha256_digest("plain") + ", expected " + wrong);
  LayerBlob packed = packed_blob("text", sha256_digest("text"));
  packed.blob_digest = wrong;
  EXPECT_THAT(message({packed}), HasSubstr("packed is corrupt: its digest is"));
}

TEST(LayerData, TakesADigestThatIsComputedAlready) {
  class Known : public ArchiveMembers {
   public:
    using ArchiveMembers::ArchiveMembers;
    std::string computed_digest(const FileSource&) const override { return "sha256:known"; }
  } known(memory_file(ArchiveBuilder().bytes()));
  ConvertProgress progress;
  const std::vector<LayerBlob> blobs = {blob(memory_file("plain"), "sha256:known")};
  EXPECT_NO_THROW(LayerData(known, blobs, "/tmp", 4, progress).verify_plain_layers());
}

TEST(LayerData, ChecksEveryUseOfASharedBlob) {
  const FileSource shared = memory_file("plain");
  EXPECT_THAT(message({blob(shared, sha256_digest("plain"), "first"),
                       blob(shared, sha256_digest("other"), "second")}),
              HasSubstr("second is corrupt"));
}

}  // namespace
}  // namespace oci
