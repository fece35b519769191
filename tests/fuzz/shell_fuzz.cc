// SPDX-License-Identifier: Apache-2.0
// Parses and runs any text as a script that can neither start programs nor open files nor change
// the process, within a number of steps: it must end, in bounded memory, without touching anything.
#include <cstddef>
#include <cstdint>
#include <string>

#include "shell/interpreter.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  shell::Options options;
  options.programs = shell::Options::Programs::absent;
  options.files = false;
  options.max_steps = 3000;
  options.max_value_bytes = 1 << 16;
  options.forgives_errors = true;  // as for images' scripts: more of the text runs
  shell::Interpreter interpreter(options);
  interpreter.variables().set_exported("X", "a b:c/d.e");
  interpreter.state().arguments = {"one", "two words", ""};
  try {
    interpreter.run_exit_trap(interpreter.run_text(text, "fuzz"));
  } catch (const shell::ExitRequest&) {
    return 0;
  } catch (const base::Error&) {
    return 0;
  }
  return 0;
}
