// SPDX-License-Identifier: Apache-2.0
#include "oci/bundle.h"

#include <algorithm>

#include "base/error.h"
#include "oci/json.h"

namespace oci {

Bundle parse_bundle(std::string_view text, std::string name) {
  const JsonValue config = JsonValue::parse(text, std::move(name));
  const JsonValue process = config.get("process");
  Bundle bundle;
  bundle.root = config.get("root").get("path").text();
  bundle.arguments = process.get("args").texts();
  bundle.environment = process.texts_of("env");
  bundle.directory = process.text_of("cwd");
  if (bundle.arguments.empty()) throw base::error(config.place(), ": process.args is empty");
  for (const JsonValue& mount : config.items_of("mounts")) {
    const std::vector<std::string> options = mount.texts_of("options");
    const auto has = [&](std::string_view word) {
      return std::ranges::find(options, word) != options.end();
    };
    if (mount.text_of("type") != "bind" && !has("bind") && !has("rbind")) continue;
    bundle.binds.push_back(
        {mount.get("source").text(), mount.get("destination").text(), has("ro")});
  }
  return bundle;
}

}  // namespace oci
