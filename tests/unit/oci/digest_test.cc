// SPDX-License-Identifier: Apache-2.0
#include "oci/digest.h"

#include <gtest/gtest.h>

namespace oci {
namespace {

TEST(IsSha256Digest, TakesTheFullLowerCaseFormOnly) {
  EXPECT_TRUE(is_sha256_digest(sha256_digest("x")));
  EXPECT_FALSE(is_sha256_digest("sha256:abc"));
  EXPECT_FALSE(is_sha256_digest("sha512:" + std::string(64, 'a')));
  EXPECT_FALSE(is_sha256_digest("sha256:" + std::string(64, 'A')));
  EXPECT_FALSE(is_sha256_digest("sha256:" + std::string(63, 'a') + "/"));
}

}  // namespace
}  // namespace oci
