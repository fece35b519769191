// SPDX-License-Identifier: Apache-2.0
#include "oci/registry_auth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "net/http.h"
#include "oci/registry_client.h"
#include "tests/unit/fails_with.h"

namespace oci {
namespace {

using ::testing::Pair;
using ::testing::UnorderedElementsAre;
using unit::fails_with;

std::string base64_of(const std::string& user, const std::string& password) {
  return net::basic_authorization(user, password).substr(std::string_view("Basic ").size());
}

TEST(CredentialHelper, OneRegistrysGoesBeforeThatOfAll) {
  const auto found = [](const char* text, const char* authority) {
    const auto helper = find_credential_helper(text, "f", authority);
    return helper ? helper->program + " " + helper->server : "none";
  };
  const char* both = R"({"credsStore": "all", "credHelpers": {"q.io": "own", "docker.io": "hub"}})";
  EXPECT_EQ(found(both, "q.io"), "docker-credential-own q.io");
  EXPECT_EQ(found(both, "other:5000"), "docker-credential-all other:5000");
  EXPECT_EQ(found(both, "registry-1.docker.io"), "docker-credential-hub docker.io");
  EXPECT_EQ(found(R"({"credsStore": "all"})", "registry-1.docker.io"),
            "docker-credential-all https://index.docker.io/v1/");
  EXPECT_EQ(found(R"({"credsStore": "../../tmp/x"})", "q.io"), "none");
  EXPECT_EQ(found(R"({"auths": {}})", "q.io"), "none");
}

TEST(ParseReference, CompletesAsDockerDoes) {
  const RegistryReference hub = parse_reference("debian");
  EXPECT_EQ(hub.authority, "registry-1.docker.io");
  EXPECT_EQ(hub.repository, "library/debian");
  EXPECT_EQ(hub.version(), "latest");
  EXPECT_EQ(hub.text, "debian:latest");
  EXPECT_EQ(parse_reference("docker.io/a/b:1").repository, "a/b");
  EXPECT_EQ(parse_reference("a/b").authority, "registry-1.docker.io");
  const RegistryReference own = parse_reference("host:5000/a/b/c:1.0");
  EXPECT_EQ(own.authority, "host:5000");
  EXPECT_EQ(own.repository, "a/b/c");
  EXPECT_EQ(own.tag, "1.0");
  EXPECT_EQ(parse_reference("localhost/x").authority, "localhost");
  const std::string digest = "sha256:" + std::string(64, 'a');
  EXPECT_EQ(parse_reference("q.io/x:1@" + digest).version(), digest);
}

TEST(ParseReference, Refuses) {
  for (const char* text :
       {"", "UPPER", "a//b", "a/../b", "a:", "a:b c", "a:x/y?z", "q.io/", "a b", "a\nb"}) {
    EXPECT_THAT([&] { parse_reference(text); },
                fails_with(base::cat("docker://", base::printable(text), " names no image")))
        << text;
  }
  EXPECT_THAT([] { parse_reference("a@sha256:12"); },
              fails_with("docker://a@sha256:12: what follows @ is no sha256 digest"));
}

TEST(ParseChallenge, ReadsBothSchemes) {
  const auto bearer =
      parse_challenge("Bearer realm=\"https://a/t\", service=\"s\\\"x\",scope=plain");
  ASSERT_TRUE(bearer);
  EXPECT_EQ(bearer->scheme, "bearer");
  EXPECT_THAT(bearer->parameters,
              UnorderedElementsAre(Pair("realm", "https://a/t"), Pair("service", "s\"x"),
                                   Pair("scope", "plain")));
  EXPECT_EQ(parse_challenge("BASIC")->scheme, "basic");
}

TEST(ParseChallenge, GivesUpOnOthers) {
  for (const char* text : {"", "Bearer realm", "Bearer realm=\"open", "Bearer =x", "=x", "Basic ;"})
    EXPECT_FALSE(parse_challenge(text)) << text;
}

TEST(FindInAuthFile, TakesTheMostPreciseEntry) {
  const std::string text = R"({"auths": {"h:1": {"auth": ")" + base64_of("u", "p:q") +
                           R"("}, "h:1/a": {"auth": ")" + base64_of("a", "x") +
                           R"("}, "https://index.docker.io/v1/": {"identitytoken": "T"},
                           "empty": {}}})";
  const auto find = [&](const std::string& host, const std::string& repository) {
    return find_in_auth_file(text, "file", host, repository);
  };
  EXPECT_EQ(find("h:1", "b")->user, "u");
  EXPECT_EQ(find("h:1", "b")->password, "p:q");
  EXPECT_EQ(find("h:1", "a/b")->user, "a");
  EXPECT_EQ(find("registry-1.docker.io", "library/x")->identity_token, "T");
  EXPECT_FALSE(find("empty", "x"));
  EXPECT_FALSE(find("other", "x"));
  EXPECT_FALSE(find_in_auth_file("{}", "file", "h", "x"));
  EXPECT_THAT([] { find_in_auth_file("[", "file", "h", "x"); },
              fails_with("file is not valid JSON"));
}

}  // namespace
}  // namespace oci
