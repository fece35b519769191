// SPDX-License-Identifier: Apache-2.0
// Options of exec, run, shell and test: the table, and its values turned into runtime::RunOptions.
#pragma once

#include <span>
#include <string>

#include "cmd/options.h"
#include "runtime/run_plan.h"

namespace cmd {

std::span<const OptionRow> run_option_table();

// `environ_entries` is what the payload's environment is made of. Throws base::Error for options
// that this version refuses and for values that contradict themselves; looks at the host for
// nothing but --env-file.
runtime::RunOptions make_run_options(const ParsedOptions& parsed,
                                     const char* const* environ_entries,
                                     const std::string& working_directory);

}  // namespace cmd
