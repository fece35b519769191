// SPDX-License-Identifier: Apache-2.0
#include "runtime/identity.h"

#include <gmock/gmock.h>

#include "base/error.h"

namespace runtime {
namespace {

using testing::ElementsAre;

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
  EXPECT_THROW(parse_security({"uid:-1"}), base::Error);
  EXPECT_THROW(parse_security({"gid:"}), base::Error);
  EXPECT_THROW(parse_security({"selinux:x"}), base::Error);
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
