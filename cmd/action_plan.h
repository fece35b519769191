// SPDX-License-Identifier: Apache-2.0
// From the words of exec, run, shell, test and instance start to a plan.
#pragma once

#include <string>
#include <vector>

#include "cmd/options.h"
#include "cmd/verbs.h"
#include "runtime/launch.h"
#include "runtime/run_plan.h"

namespace cmd {

struct ActionWords {
  runtime::Verb verb;
  std::string image;
  std::vector<std::string> arguments;
  std::string instance;  // name of one to be started; else empty
};

// Says what the plan warns of.
runtime::RunPlan plan_action(const Invocation& invocation, const ParsedOptions& parsed,
                             ActionWords words, runtime::HostFacts facts);

}  // namespace cmd
