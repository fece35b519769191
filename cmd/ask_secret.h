// SPDX-License-Identifier: Apache-2.0
// Asking for a password: as base::ask, but a terminal does not show the answer, and is as it was
// afterwards, whatever signal comes meanwhile.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cmd {

// nullopt at the end of standard input.
std::optional<std::string> ask_secret(std::string_view question);

}  // namespace cmd
