// SPDX-License-Identifier: Apache-2.0
#include "oci/image_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/oci/archive_builder.h"

namespace oci {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(ParseImageConfig, ReadsEverything) {
  const std::string id = "sha256:" + std::string(64, 'a');
  const ImageConfig config = parse_image_config(
      R"({"architecture": "arm64", "os": "linux", "created": "2024-02-03T04:05:06.789Z",
          "config": {"Env": ["A=b"], "Cmd": ["c"], "Entrypoint": ["e"], "WorkingDir": "/w",
                     "User": "1:2", "Labels": {"l": "v"}, "ExposedPorts": {"80/tcp": {}}},
          "rootfs": {"type": "layers", "diff_ids": [")" +
          id + R"("]}})",
      "config");
  EXPECT_EQ(config.architecture, "arm64");
  EXPECT_EQ(config.created, 1706933106);
  EXPECT_THAT(config.diff_ids, ElementsAre(id));
  EXPECT_THAT(config.env, ElementsAre("A=b"));
  EXPECT_THAT(config.cmd, ElementsAre("c"));
  EXPECT_THAT(config.entrypoint, ElementsAre("e"));
  EXPECT_EQ(config.labels.at("l"), "v");
  EXPECT_THAT(config.config_json, HasSubstr(R"("ExposedPorts":{"80/tcp":{}})"));
}

TEST(ParseImageConfig, TakesNullsAndAbsence) {
  const ImageConfig config = parse_image_config(
      R"({"config": {"Env": null, "Cmd": null, "Entrypoint": "/init"}, "created": null})",
      "config");
  EXPECT_THAT(config.env, IsEmpty());
  EXPECT_THAT(config.entrypoint, ElementsAre("/init"));
  EXPECT_EQ(config.created, 0);
  EXPECT_EQ(parse_image_config("{}", "config").config_json, "{}");
}

TEST(ParseImageConfig, SaysWhichKeyIsWrong) {
  const auto message = [](const std::string& text) {
    return message_of([&] { parse_image_config(text, "c.json"); });
  };
  EXPECT_EQ(message(R"({"config": {"Env": {}}})"), "c.json: config.Env is object, not a list");
  EXPECT_EQ(message(R"({"rootfs": {"diff_ids": ["x"]}})"),
            "c.json: rootfs: not a sha256 diff ID: x");
  EXPECT_THAT(message(R"({"config": {"Env": ["A=\u0000"]}})"), HasSubstr("contains a NUL"));
}

TEST(ParseRfc3339, KnowsZonesAndFractions) {
  EXPECT_EQ(parse_rfc3339("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(parse_rfc3339("2024-02-03T04:05:06Z"), 1706933106);
  EXPECT_EQ(parse_rfc3339("2024-02-03T06:05:06.123456789+02:00"), 1706933106);
  EXPECT_EQ(parse_rfc3339("2024-02-02T23:05:06-05:00"), 1706933106);
}

TEST(ParseRfc3339, GivesZeroForAnythingElse) {
  for (const char* text :
       {"", "yesterday", "2024-02-03", "2024-02-03T04:05:06", "2024-02-03T04:05:06X"})
    EXPECT_EQ(parse_rfc3339(text), 0) << text;
}

TEST(ParseImageConfig, GoZeroTimeIsNoTime) {
  EXPECT_EQ(parse_image_config(R"({"created": "0001-01-01T00:00:00Z"})", "c").created, 0);
}

TEST(FormatRfc3339, IsTheInverse) { EXPECT_EQ(format_rfc3339(1706933106), "2024-02-03T04:05:06Z"); }

}  // namespace
}  // namespace oci
