// SPDX-License-Identifier: Apache-2.0
// EXPECT_THAT([&] { action(); }, fails_with("the reason")): a test of a failure says why it fails.
#pragma once

#include <gmock/gmock.h>

#include <string>

#include "base/error.h"

namespace unit {

// What throws a base::Error that has `reason` in its message.
inline auto fails_with(const std::string& reason) {
  return testing::ThrowsMessage<base::Error>(testing::HasSubstr(reason));
}

}  // namespace unit
