// SPDX-License-Identifier: Apache-2.0
#include "oci/image_metadata.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/unit/fails_with.h"

namespace oci {
namespace {

using unit::fails_with;

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
  const struct {
    const char *text, *reason;
  } rows[] = {
      {"", "m is not valid JSON"},
      {"{", "m is not valid JSON"},
      {"[]", "m: it is array, not an object"},
      {R"({"data":[]})", "m: data is array, not an object"},
      {R"({"data":{"attributes":[]}})", "m: data.attributes is array, not an object"},
      {R"({"data":{"attributes":{"labels":{"a":1}}}})",
       "m: data.attributes.labels.a is number, not a text"},
      {R"({"data":{"attributes":{"apps":{"a":"b"}}}})",
       "m: data.attributes.apps.a is string, not an object"},
      {R"({"data":{"attributes":{"runscript":["a"]}}})",
       "m: data.attributes.runscript is array, not a text"},
  };
  for (const auto& row : rows)
    EXPECT_THAT([&] { parse_image_metadata(row.text, "m"); }, fails_with(row.reason)) << row.text;
  EXPECT_TRUE(parse_image_metadata("{}", "m").labels.empty());
}

}  // namespace
}  // namespace oci
