// SPDX-License-Identifier: Apache-2.0
// What a stage starts from, by its header.
#pragma once

#include <string>

#include "definition/definition_file.h"

namespace definition {

struct BaseImage {
  std::string source;      // as sifconv takes it; empty: nothing ("Bootstrap: scratch")
  bool is_remote = false;  // in a registry
};

// Throws Error for what cannot be started from.
BaseImage base_image(const Stage& stage);

}  // namespace definition
