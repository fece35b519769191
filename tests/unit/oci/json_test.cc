// SPDX-License-Identifier: Apache-2.0
#include "oci/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/oci/archive_builder.h"

namespace oci {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

JsonValue parse(const std::string& text) { return JsonValue::parse(text, "doc"); }

TEST(JsonValue, ReadsTypedMembers) {
  const JsonValue value = parse(R"({"a": "x", "b": ["y", "z"], "c": {"k": "v"}, "n": null})");
  EXPECT_EQ(value.text_of("a"), "x");
  EXPECT_THAT(value.texts_of("b"), ElementsAre("y", "z"));
  EXPECT_EQ(value.text_map_of("c").at("k"), "v");
  EXPECT_FALSE(value.find("n"));
  EXPECT_EQ(value.text_of("absent"), "");
  EXPECT_THAT(value.texts_of("n"), IsEmpty());
}

TEST(JsonValue, NamesTheKeyAtFault) {
  const JsonValue value = parse(R"({"a": {"b": [1, {"c": 2}]}})");
  EXPECT_EQ(message_of([&] { (void)value.get("a").get("b").items()[1].get("c").text(); }),
            "doc: a.b[1].c is number, not a text");
  EXPECT_EQ(message_of([&] { (void)value.text_of("a"); }), "doc: a is object, not a text");
  EXPECT_EQ(message_of([&] { (void)value.get("x"); }), "doc: the key x is missing");
  EXPECT_EQ(message_of([] { (void)parse("[]").find("x"); }), "doc: it is array, not an object");
}

TEST(JsonValue, RefusesWhatIsNoJson) {
  for (const std::string text : {"", "{", "[1,]", "\xff", "{} {}", "\"\\ud800\""})
    EXPECT_EQ(message_of([&] { parse(text); }), "doc is not valid JSON") << text;
}

TEST(JsonValue, LimitsDepthAndSize) {
  EXPECT_THAT(message_of([] { parse(std::string(1 << 20, '[')); }), HasSubstr("deeper than 64"));
  EXPECT_EQ(message_of([] { parse(std::string(60, '[') + std::string(60, ']')); }), "no error");
  EXPECT_THAT(message_of([] { parse(std::string(kMaxJsonSize + 1, ' ')); }),
              HasSubstr("too large"));
}

}  // namespace
}  // namespace oci
