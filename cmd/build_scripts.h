// SPDX-License-Identifier: Apache-2.0
// The scripts of a definition file: %pre and %setup on the host, %post and %test in a container
// that is root's.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cmd/child_process.h"
#include "cmd/options.h"
#include "definition/definition_file.h"
#include "definition/root_folder.h"
#include "runtime/user_namespace.h"

namespace cmd {

// Leaves through all of the building, so that what was begun is removed on the way.
struct Interrupted {
  int signal;
};

class BuildScripts {
 public:
  // Both are borrowed.
  BuildScripts(const ParsedOptions& parsed, HeldSignals& signals)
      : parsed_(parsed), signals_(signals) {}

  // Keeps its files in a folder, whose name ends with a slash, from here on. `ids`: what there is
  // to give files to.
  void use_folder(const std::string& folder, runtime::IdMap ids);

  // The exit status, as of waitpid. Throws Interrupted when a signal ends the build meanwhile.
  int run_program(const char* name, const std::function<void()>& become,
                  WhenAsked rule = WhenAsked::ends_soon);

  // Each does nothing for a stage without the section, and throws Error when the script fails.
  void run_on_host(const definition::Stage& stage, const char* section, const std::string& root);
  void run_post(const definition::Stage& stage, definition::RootFolder& root);
  void run_test(const definition::Stage& stage, const definition::RootFolder& root);
  // Of %post, in the image.
  static void remove_traces(definition::RootFolder& root);

 private:
  using Command = std::vector<std::string>;

  std::string write_file(std::string_view name, std::string_view text, mode_t mode = 0700) const;
  Command container_call(const char* verb) const;

  const ParsedOptions& parsed_;
  HeldSignals& signals_;
  std::string folder_;
  std::string root_emulation_;  // a file
  bool has_users_ = true;       // besides root
};

}  // namespace cmd
