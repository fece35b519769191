// SPDX-License-Identifier: Apache-2.0
// The sifconv that lies beside this program does the conversions: sifrun stays single-threaded.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cmd/options.h"

namespace cmd {

// The options of build, pull, exec and others that sifconv understands, as its arguments; also
// hands --docker-username and the like on, through the environment.
std::vector<std::string> sifconv_arguments(const ParsedOptions& parsed);

// Its path. To be called before a mount namespace is entered, where our own path cannot be told.
const std::string& find_sifconv();

// What a child process becomes, to do the conversion.
[[noreturn]] void become_sifconv(const std::vector<std::string>& arguments);

// Runs it to its end and gives its exit code; it has told the user what went wrong. A signal that
// ends this program ends sifconv first, which removes what it began; then `clean_up` is called.
int run_sifconv(const std::vector<std::string>& arguments,
                const std::function<void()>& clean_up = {});
// The same with its standard output; nullopt when it failed.
std::optional<std::string> ask_sifconv(const std::vector<std::string>& arguments);

}  // namespace cmd
