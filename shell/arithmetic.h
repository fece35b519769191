// SPDX-License-Identifier: Apache-2.0
// Arithmetic of $(( )): signed 64-bit integers that wrap, C's operators (XCU 2.6.4).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace shell {

// `name` may be that of an array's element, as in "x[3]".
struct ArithmeticVariables {
  std::function<std::string(const std::string& name)> get;  // "" if unset
  std::function<void(const std::string& name, const std::string& value)> set;
};

// Throws base::Error for a malformed expression and for a division by zero.
std::int64_t evaluate_arithmetic(std::string_view expression, const ArithmeticVariables& variables);

}  // namespace shell
