// SPDX-License-Identifier: Apache-2.0
#include "runtime/identity.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "tests/unit/fails_with.h"

namespace runtime {
namespace {

using testing::ElementsAre;
using unit::fails_with;

TEST(IdRanges, AreFoundByNameAndByNumber) {
  const char* const text = "bob:1:2\n#ada:1:2\nada:x:1\nada:1000:0\nada:100000:65536\n42:7:8\n";
  EXPECT_EQ(find_id_range(text, "ada", 1), (IdRange{100000, 65536}));
  EXPECT_EQ(find_id_range(text, "eve", 42), (IdRange{7, 8}));
  EXPECT_EQ(find_id_range(text, "eve", 43), std::nullopt);
  EXPECT_EQ(find_id_range("", "", 0), std::nullopt);
}

TEST(Security, ValuesAreReadAndUnknownOnesPassedOver) {
  const SecurityRequest request =
      parse_security({"uid:5", "gid:6:7", "seccomp:/a:b", "other:x", "nonsense"});
  EXPECT_EQ(request.uid, 5U);
  EXPECT_EQ(request.gid, 6U);
  EXPECT_EQ(request.seccomp_profile, "/a:b");
  EXPECT_THAT([] { parse_security({"uid:-1"}); },
              fails_with("--security uid:-1: -1 is no numeric id"));
  EXPECT_THAT([] { parse_security({"gid:"}); }, fails_with("--security gid::  is no numeric id"));
  EXPECT_THAT([] { parse_security({"selinux:x"}); },
              fails_with("--security selinux is not supported"));
}

TEST(CapabilityNames, InAnyCaseWithAndWithoutPrefix) {
  std::vector<std::string> unknown;
  EXPECT_EQ(parse_capabilities("CAP_CHOWN,net_raw,,bad,Cap_Checkpoint_Restore", unknown),
            1U | 1U << 13 | Capabilities{1} << 40);
  EXPECT_THAT(unknown, ElementsAre("bad"));
  EXPECT_EQ(parse_capabilities("all", unknown), kAllCapabilities);
}

}  // namespace
}  // namespace runtime
