// SPDX-License-Identifier: Apache-2.0
#include "oci/clean_path.h"

#include <algorithm>

namespace oci {

CleanPath clean_path(std::string_view name) {
  CleanPath clean;
  const bool absolute = name.starts_with('/');
  while (!name.empty()) {
    const std::string_view part = name.substr(0, name.find('/'));
    name.remove_prefix(std::min(part.size() + 1, name.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (clean.text.empty() && !absolute) clean.escapes = true;
      const std::size_t slash = clean.text.rfind('/');
      clean.text.resize(slash == std::string::npos ? 0 : slash);
      continue;
    }
    if (!clean.text.empty()) clean.text += '/';
    clean.text += part;
  }
  return clean;
}

}  // namespace oci
