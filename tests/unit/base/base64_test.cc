// SPDX-License-Identifier: Apache-2.0
#include "base/base64.h"

#include <gtest/gtest.h>

namespace base {
namespace {

TEST(Base64, GoesThereAndBack) {
  EXPECT_EQ(base64("user:pass"), "dXNlcjpwYXNz");
  for (const std::string& bytes :
       {std::string(), std::string("a"), std::string("ab"), std::string("abc"),
        std::string("\0\xFF\n=", 4), std::string(100'000, 'x')})
    EXPECT_EQ(find_base64(base64(bytes)), bytes);
}

TEST(Base64, RefusesWhatIsNone) {
  for (const char* text : {"abc", "a===", "****", "ab c", "YQ==YQ==", "YQ==\n"})
    EXPECT_FALSE(find_base64(text)) << text;
}

}  // namespace
}  // namespace base
