// SPDX-License-Identifier: Apache-2.0
#include "oci/bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/unit/fails_with.h"

namespace oci {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using unit::fails_with;

TEST(Bundle, WhatSlurmWrites) {
  const Bundle bundle = parse_bundle(R"({"ociVersion": "1.0.0",
    "process": {"args": ["sh", "-c", "a b"], "env": ["A=1", "B="], "cwd": "/work", "terminal": false},
    "root": {"path": "/images/x.sif"},
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
               {"destination": "/spool", "type": "none", "source": "/var/spool", "options": ["bind"]},
               {"destination": "/d", "type": "bind", "source": "/data", "options": ["ro", "nodev"]}]})",
                                     "config.json");
  EXPECT_EQ(bundle.root, "/images/x.sif");
  EXPECT_THAT(bundle.arguments, ElementsAre("sh", "-c", "a b"));
  EXPECT_THAT(bundle.environment, ElementsAre("A=1", "B="));
  EXPECT_EQ(bundle.directory, "/work");
  EXPECT_THAT(bundle.binds, ElementsAre(BundleBind{"/var/spool", "/spool", false},
                                        BundleBind{"/data", "/d", true}));
}

TEST(Bundle, LittleIsEnough) {
  const Bundle bundle =
      parse_bundle(R"({"process": {"args": ["true"]}, "root": {"path": "x"}})", "config.json");
  EXPECT_EQ(bundle.root, "x");
  EXPECT_THAT(bundle.environment, IsEmpty());
  EXPECT_EQ(bundle.directory, "");
}

TEST(Bundle, SaysWhatIsWrong) {
  const auto refused = [](std::string_view text, const std::string& reason) {
    EXPECT_THAT([text] { parse_bundle(text, "config.json"); }, fails_with(reason)) << text;
  };
  refused("{", "config.json");
  refused("{}", "process");
  refused(R"({"process": {"args": ["x"]}})", "root");
  refused(R"({"process": {"args": []}, "root": {"path": "x"}})", "process.args is empty");
  refused(R"({"process": {"args": [1]}, "root": {"path": "x"}})", "args");
  refused(R"({"process": {"args": ["x"]}, "root": {"path": "x"}, "mounts": [{"type": "bind"}]})",
          "source");
}

}  // namespace
}  // namespace oci
