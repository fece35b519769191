// SPDX-License-Identifier: Apache-2.0
// The standard alphabet with padding (RFC 4648, section 4), in one line.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace base {

std::string base64(std::string_view bytes);
// nullopt for what is no base64.
std::optional<std::string> find_base64(std::string_view text);

}  // namespace base
