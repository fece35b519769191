// SPDX-License-Identifier: Apache-2.0
#include "runtime/passwd_file.h"

#include <gmock/gmock.h>

namespace runtime {
namespace {

constexpr std::string_view kHost =
    "# comment\nroot:x:0:0:root:/root:/bin/bash\nbroken:x:12\n"
    "ada:x:1000:100:Ada L.,,,:/home/ada:/bin/zsh\nother:x:1000:1:::\n";

const Account kAda{"ada", 1000, 100, "Ada L.,,,", "/home/ada", "/bin/zsh"};

TEST(PasswdFile, FindsTheFirstEntryOfAnId) {
  const auto account = find_account(kHost, 1000);
  ASSERT_TRUE(account);
  EXPECT_EQ(account->name, "ada");
  EXPECT_EQ(account->gid, 100u);
  EXPECT_EQ(account->home, "/home/ada");
  EXPECT_EQ(account->shell, "/bin/zsh");
  EXPECT_FALSE(find_account(kHost, 12));
  EXPECT_FALSE(find_account("", 0));
  EXPECT_EQ(find_group("users:x:100:ada\nx\n", 100)->name, "users");
}

TEST(PasswdFile, AppendsTheCaller) {
  EXPECT_EQ(passwd_with("root:x:0:0::/root:/bin/sh", kAda, "/home/ada"),
            "root:x:0:0::/root:/bin/sh\nada:x:1000:100:Ada L.,,,:/home/ada:/bin/zsh\n");
}

TEST(PasswdFile, GivesAnExistingEntryTheHome) {
  EXPECT_EQ(passwd_with("node:x:1000:1000:Node:/home/node:/bin/ash\n", kAda, "/work"),
            "node:x:1000:1000:Node:/work:/bin/ash\n");
}

TEST(PasswdFile, RootAsWell) {
  const Account root{"toor", 0, 0, "Admin", "/root", "/bin/bash"};
  EXPECT_EQ(passwd_with("root:x:0:0:root:/root:/bin/sh\n", root, "/home"),
            "root:x:0:0:root:/home:/bin/sh\n");
}

TEST(PasswdFile, NoFieldEndsItsLine) {
  const Account odd{"a:b", 7, 7, "x\ny", "/h", "/bin/sh"};
  EXPECT_EQ(passwd_with("", odd, "/a:b\n"), "a_b:x:7:7:x_y:/a_b_:/bin/sh\n");
}

TEST(GroupFile, AppendsTheCallersGroups) {
  const std::vector<Group> groups = {{"users", 100}, {"gpu", 200}};
  EXPECT_EQ(group_with("root:x:0:\npeople:x:100:", groups, "ada"),
            "root:x:0:\npeople:x:100:\nusers:x:100:ada\ngpu:x:200:ada\n");
}

}  // namespace
}  // namespace runtime
