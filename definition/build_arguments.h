// SPDX-License-Identifier: Apache-2.0
// Values that stand in a definition file as {{ NAME }}: those of --build-arg and --build-arg-file,
// else the defaults of the stage's %arguments.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

namespace definition {

using BuildArguments = std::map<std::string, std::string, std::less<>>;

// "NAME=value". Throws Error where there is no '='.
void add_argument(std::string_view assignment, BuildArguments& arguments);
// The lines of a file; empty ones and comments are passed over.
void add_argument_lines(std::string_view text, BuildArguments& arguments);

// The text with its values; names of `given` that it has are added to `used`. Defaults may have
// names, too. Throws Error for a name that has no value, but in comments.
std::string substitute(std::string_view text, const BuildArguments& given,
                       std::set<std::string, std::less<>>& used);

}  // namespace definition
