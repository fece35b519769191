// SPDX-License-Identifier: Apache-2.0
// YAML of the simple kind that configuration files are written in, as a JSON value: one document,
// no aliases, string keys.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace runtime {

// `name` appears in messages. Throws Error for text that is no YAML or exceeds a limit. Plain
// numbers and words like true become numbers and booleans; quoted ones stay text.
nlohmann::json yaml_to_json(std::string_view text, std::string_view name);

}  // namespace runtime
