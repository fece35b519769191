// SPDX-License-Identifier: Apache-2.0
#include "base/sha256.h"

#include <gtest/gtest.h>

namespace base {
namespace {

TEST(Sha256, MatchesTheStandard) {
  EXPECT_EQ(sha256_digest("abc"),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_digest(""),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256, IsIncremental) {
  Sha256 hash;
  for (const char c : {'a', 'b', 'c'}) hash.update(std::as_bytes(std::span(&c, 1)));
  EXPECT_EQ(hash.digest(), sha256_digest("abc"));
}

}  // namespace
}  // namespace base
