// SPDX-License-Identifier: Apache-2.0
#include "oci/image_metadata.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace oci {
namespace {

TEST(ImageMetadata, DocumentIsEscapedAsGoDoes) {
  ImageMetadata metadata;
  metadata.runscript = "a < b && c > d\n\t\"\\\x01\xE2\x80\xA8\xFF";
  metadata.apps["empty"] = {};
  EXPECT_EQ(metadata_document(metadata),
            "{\n\t\"data\": {\n\t\t\"attributes\": {\n\t\t\t\"apps\": {\n\t\t\t\t\"empty\": "
            "{}\n\t\t\t},\n\t\t\t\"runscript\": \"a \\u003c b \\u0026\\u0026 c \\u003e "
            "d\\n\\t\\\"\\\\\\u0001\\u2028\xEF\xBF\xBD\"\n\t\t}\n\t},\n\t\"type\": "
            "\"container\"\n}");
}

TEST(ImageMetadata, ReadsWhatItWrote) {
  ImageMetadata metadata;
  metadata.labels = {{"A", "1"}, {"B", "<&>"}};
  metadata.apps["foo"].environment = {{"/scif/x", "export A=1"}};
  metadata.apps["foo"].helpfile = "help";
  metadata.deffile = "From: x";
  metadata.startscript = "s";
  const std::string text = metadata_document(metadata);
  EXPECT_EQ(metadata_document(parse_image_metadata(text, "m")), text);
}

TEST(ImageMetadata, DamageIsAnError) {
  for (const char* text : {"", "{", "[]", R"({"data":[]})", R"({"data":{"attributes":[]}})",
                           R"({"data":{"attributes":{"labels":{"a":1}}}})",
                           R"({"data":{"attributes":{"apps":{"a":"b"}}}})",
                           R"({"data":{"attributes":{"runscript":["a"]}}})"})
    EXPECT_THROW(parse_image_metadata(text, "m"), base::Error) << text;
  EXPECT_TRUE(parse_image_metadata("{}", "m").labels.empty());
}

}  // namespace
}  // namespace oci
