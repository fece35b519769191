// SPDX-License-Identifier: Apache-2.0
// A definition file ready to be built from: arguments put in, parsed, images of registries fetched.
#pragma once

#include <string>
#include <vector>

#include "cmd/definition_build.h"
#include "cmd/options.h"
#include "definition/definition_file.h"

namespace cmd {

struct Recipe {
  std::string text;  // of the definition, its arguments replaced by their values
  std::vector<definition::Stage> stages;
  std::vector<std::string> bases;  // of each stage, what to unpack as sifconv takes it; empty:
                                   // nothing
};

// A failure that the program which had it has told of.
struct AlreadyTold {};

// As the caller, whose logins count. Throws Error and AlreadyTold.
Recipe prepare_recipe(const ParsedOptions& parsed, const DefinitionRequest& request);

}  // namespace cmd
