// SPDX-License-Identifier: Apache-2.0
// build from a definition file: base image -> folder -> %setup, %files, %post as root of a user
// namespace -> SIF or folder.
#pragma once

#include <string>

#include "cmd/options.h"

namespace cmd {

struct DefinitionRequest {
  std::string name;  // of the file, for messages
  std::string text;
  std::string destination;
  bool replace = false;
  bool update = false;  // start from the destination, a folder, in place of the last stage's base
};

// False when a conversion failed, which has been told; throws Error for everything else. Ends the
// process by the signal that interrupts it. Nothing is left then, and an old destination stays.
bool build_definition(const ParsedOptions& parsed, const DefinitionRequest& request);

}  // namespace cmd
