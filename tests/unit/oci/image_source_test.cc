// SPDX-License-Identifier: Apache-2.0
#include "oci/image_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/oci/archive_builder.h"

namespace oci {
namespace {

using ::testing::HasSubstr;

TEST(ParseSource, TakesPathsAsTheyAre) {
  EXPECT_EQ(parse_source("a:b.tar").path, "a:b.tar");
  EXPECT_EQ(parse_source("-").path, "-");
}

TEST(ParseSource, SplitsTransports) {
  for (const char* text : {"docker-archive:/no/x.tar:name:1", "docker-archive:///no/x.tar:name:1",
                           "oci-archive:/no/x.tar:name:1"}) {
    EXPECT_EQ(parse_source(text).path, "/no/x.tar") << text;
    EXPECT_EQ(parse_source(text).reference, "name:1") << text;
  }
  EXPECT_EQ(parse_source("docker-archive:x.tar").reference, "");
}

TEST(ParseSource, KnowsImagesThatAreReady) {
  EXPECT_EQ(parse_source("oras://h:1/a/b:2").path, "h:1/a/b:2");
  EXPECT_EQ(parse_source("oras://h:1/a/b:2").name(), "oras://h:1/a/b:2");
  EXPECT_EQ(parse_source("https://h/x.sif?y=1").path, "https://h/x.sif?y=1");
  EXPECT_EQ(parse_source("http://h/x.sif").transport, Transport::web);
  EXPECT_EQ(default_destination(parse_source("oras://h:1/a/b:2")), "b_2.sif");
  EXPECT_EQ(default_destination(parse_source("https://h/a/x.sif")), "x.sif");
}

TEST(ParseSource, RefusesOtherTransports) {
  EXPECT_THAT(message_of([] { parse_source("shub://debian"); }),
              HasSubstr("shub:// is not supported\nhint: docker save"));
  EXPECT_THAT(message_of([] { parse_source("docker-archive:"); }), HasSubstr("names nothing"));
  EXPECT_THAT(message_of([] { parse_source(""); }), HasSubstr("SOURCE is empty"));
}

TEST(DefaultDestination, ReplacesTheEnding) {
  const auto name = [](const std::string& path) { return default_destination({path, ""}); };
  EXPECT_EQ(name("cuda_image.tar"), "cuda_image.sif");
  EXPECT_EQ(name("/a/b.c/image.v1.tar.gz"), "image.v1.sif");
  EXPECT_EQ(name("x.tgz"), "x.sif");
  EXPECT_EQ(name("x.tar.zst"), "x.sif");
  EXPECT_EQ(name("x"), "x.sif");
  EXPECT_EQ(name(".tar"), ".tar.sif");
  EXPECT_THAT(message_of([&] { name("-"); }), HasSubstr("DEST is needed"));
}

}  // namespace
}  // namespace oci
