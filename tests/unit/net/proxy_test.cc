// SPDX-License-Identifier: Apache-2.0
#include "net/proxy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/error.h"

namespace net {
namespace {

using Environment = std::map<std::string, std::string>;

std::optional<Proxy> proxy_for(const char* url, const Environment& environment) {
  return find_proxy(parse_url(url), [&](const char* name) -> const char* {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

std::string shown(const char* url, const Environment& environment) {
  const std::optional<Proxy> proxy = proxy_for(url, environment);
  return proxy ? proxy->host + " " + std::to_string(proxy->port) + " " + proxy->authorization : "";
}

TEST(FindProxy, ByScheme) {
  const Environment both = {{"http_proxy", "http://plain:3128"}, {"https_proxy", "secure:8080/"}};
  EXPECT_EQ(shown("http://q.io/", both), "plain 3128 ");
  EXPECT_EQ(shown("https://q.io/", both), "secure 8080 ");
  EXPECT_EQ(shown("https://q.io/", {{"http_proxy", "http://plain:3128"}}), "");
  EXPECT_EQ(shown("https://q.io/", {{"https_proxy", "p"}, {"HTTPS_PROXY", "q"}}), "q 80 ");
  EXPECT_EQ(shown("https://q.io/", {{"https_proxy", ""}}), "");
  EXPECT_EQ(shown("https://q.io/", {{"https_proxy", "http://[::1]:8"}}), "::1 8 ");
}

TEST(FindProxy, Logins) {
  EXPECT_EQ(shown("https://q.io/", {{"https_proxy", "http://u:p%40%3a@h:1"}}),
            "h 1 Basic dTpwQDo=");  // u:p@:
  EXPECT_EQ(shown("https://q.io/", {{"https_proxy", "u@h:1"}}), "h 1 Basic dTo=");
}

TEST(FindProxy, NeverForThisMachine) {
  for (const char* url :
       {"https://localhost:5000/", "https://127.0.0.1/", "https://127.9.9.9/", "https://[::1]/"})
    EXPECT_EQ(shown(url, {{"https_proxy", "p"}}), "") << url;
}

TEST(FindProxy, OtherKindsAreRefusedWithoutTheirPassword) {
  for (const char* text : {"socks5://u:secret@h:1", "https://u:secret@h"}) {
    try {
      proxy_for("https://q.io/", {{"https_proxy", text}});
      ADD_FAILURE() << text;
    } catch (const base::Error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("are not supported"));
      EXPECT_THAT(error.what(), ::testing::Not(::testing::HasSubstr("secret")));
    }
  }
}

TEST(IsExempt, AsGosRules) {
  EXPECT_TRUE(is_exempt("*", "q.io", 443));
  EXPECT_TRUE(is_exempt("a, Q.IO ,b", "q.io", 443));
  EXPECT_TRUE(is_exempt("q.io", "sub.q.io", 443));
  EXPECT_FALSE(is_exempt("q.io", "notq.io", 443));
  EXPECT_TRUE(is_exempt(".q.io", "sub.q.io", 443));
  EXPECT_FALSE(is_exempt(".q.io", "q.io", 443));
  EXPECT_TRUE(is_exempt("*.q.io", "sub.q.io", 443));
  EXPECT_TRUE(is_exempt("q.io:5000", "q.io", 5000));
  EXPECT_FALSE(is_exempt("q.io:5000", "q.io", 443));
  EXPECT_TRUE(is_exempt("10.0.0.0/8", "10.1.2.3", 443));
  EXPECT_FALSE(is_exempt("10.0.0.0/8", "11.1.2.3", 443));
  EXPECT_FALSE(is_exempt("10.0.0.0/99", "10.1.2.3", 443));
  EXPECT_TRUE(is_exempt("fd00::/8", "fd12::1", 443));
  EXPECT_TRUE(is_exempt("10.1.2.3", "10.1.2.3", 443));
  EXPECT_TRUE(is_exempt("[fd12::1]:5000", "fd12::1", 5000));
  EXPECT_FALSE(is_exempt("", "q.io", 443));
  EXPECT_FALSE(is_exempt(",,", "q.io", 443));
}

}  // namespace
}  // namespace net
