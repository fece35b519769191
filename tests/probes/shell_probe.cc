// SPDX-License-Identifier: Apache-2.0
// Runs a script with the embedded interpreter as `sh FILE [ARG...]` or `sh -c TEXT [NAME [ARG...]]`
// would: for comparison with real shells. What the
// interpreter cannot do ends with status 2 and a message.
#include <unistd.h>

#include <iostream>

#include "base/syscalls.h"
#include "shell/interpreter.h"

namespace {

int run(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: shell_probe FILE | -c TEXT [NAME [ARG...]]\n";
    return 1;
  }
  shell::Interpreter interpreter;
  std::vector<std::string> environment;
  for (char** entry = environ; *entry; ++entry) environment.emplace_back(*entry);
  interpreter.variables().import_environment(environment);
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const bool inline_text = arguments[0] == "-c";
  const std::string text =
      inline_text ? arguments.at(1) : base::read_small_file(arguments[0], 16 << 20);
  const std::size_t name_at = inline_text ? 2 : 0;
  if (arguments.size() > name_at) interpreter.state().name = arguments[name_at];
  for (std::size_t i = name_at + 1; i < arguments.size(); ++i)
    interpreter.state().arguments.push_back(arguments[i]);
  try {
    return interpreter.run_exit_trap(interpreter.run_text(text, interpreter.state().name));
  } catch (const shell::ExitRequest& request) {
    return interpreter.run_exit_trap(request.status);
  } catch (const base::Error& error) {
    std::cerr << error.what() << "\n";
    return 2;
  }
}

}  // namespace

int main(int argc, char** argv) { return run(argc, argv); }
