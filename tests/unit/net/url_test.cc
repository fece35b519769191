// SPDX-License-Identifier: Apache-2.0
#include "net/url.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace net {
namespace {

TEST(ParseUrl, TakesApart) {
  const Url url = parse_url("http://registry.example:5000/v2/a?b=c#d");
  EXPECT_EQ(url.host, "registry.example");
  EXPECT_EQ(url.port, 5000);
  EXPECT_EQ(url.target, "/v2/a?b=c");
  EXPECT_EQ(url.text(), "http://registry.example:5000/v2/a?b=c");
  EXPECT_EQ(parse_url("https://h?q").target, "/?q");
  EXPECT_EQ(parse_url("https://[::1]:80").authority(), "[::1]:80");
  EXPECT_EQ(parse_url("https://h:443/").text(), "https://h/");
}

TEST(TakeUser, TakesItOutOfTheAddress) {
  const UrlWithUser parts = take_user("https://me%40site:p%3Aw:%zz@h:80/x@y?z");
  EXPECT_EQ(parts.address, "https://h:80/x@y?z");
  EXPECT_EQ(parts.user, "me@site");
  EXPECT_EQ(parts.password, "p:w:%zz");
  EXPECT_EQ(take_user("https://token@h/").user, "token");
  EXPECT_EQ(take_user("https://h/a@b").address, "https://h/a@b");
  EXPECT_EQ(take_user("https://h/a@b").user, "");
  EXPECT_EQ(take_user("").address, "");
}

TEST(ParseUrl, Refuses) {
  for (const char* text :
       {"", "h/x", "ftp://h/", "file:///etc", "https://", "https://u@h/", "https://h:0/",
        "https://h:99999/", "https://h:x/", "https://h\r\nX: y/", "https://h/a b", "https://[::1/"})
    EXPECT_THROW(parse_url(text), base::Error) << text;
  EXPECT_THROW(parse_url("https://h/" + std::string(kMaxUrlSize, 'x')), base::Error);
}

TEST(ResolveUrl, FollowsTheFourForms) {
  const Url base = parse_url("https://h/v2/a/b?q=1");
  EXPECT_EQ(resolve_url(base, "http://o/x").text(), "http://o/x");
  EXPECT_EQ(resolve_url(base, "//o/x").text(), "https://o/x");
  EXPECT_EQ(resolve_url(base, "/x?y=/z").text(), "https://h/x?y=/z");
  EXPECT_EQ(resolve_url(base, "x").text(), "https://h/v2/a/x");
  EXPECT_THROW(resolve_url(base, "file:///x"), base::Error);
}

TEST(Url, KnowsItsOrigin) {
  const Url url = parse_url("https://h/x");
  EXPECT_TRUE(url.has_origin_of(parse_url("https://h:443/y")));
  EXPECT_FALSE(url.has_origin_of(parse_url("http://h/x")));
  EXPECT_FALSE(url.has_origin_of(parse_url("https://h.evil/x")));
}

TEST(PercentEncoded, KeepsUnreservedCharacters) {
  EXPECT_EQ(percent_encoded("bed/a-b_c.d~:1\xff"), "bed%2fa-b_c.d~%3a1%ff");
}

}  // namespace
}  // namespace net
