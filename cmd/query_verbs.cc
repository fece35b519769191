// SPDX-License-Identifier: Apache-2.0
// Verbs of what this program does not have: scripts ask by them, before they start anything, how
// Apptainer was installed and what is configured. The answer is that there is nothing.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/output.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "cmd/exit_codes.h"
#include "cmd/verbs.h"

namespace cmd {
namespace {

using Variables = std::vector<std::pair<std::string, std::string>>;

// As Apptainer would be built to be installed where this program is. Nothing of it has to exist.
Variables build_variables(const Invocation& invocation) {
  const std::string self = base::find_link_target("/proc/self/exe").value_or("/usr/bin/sifrun");
  const std::string folder = self.substr(0, self.rfind('/'));
  const std::string prefix = folder.substr(0, folder.rfind('/'));
  const std::string configuration = prefix == "/usr" ? "/etc" : prefix + "/etc";
  const std::string state = prefix == "/usr" ? "/var" : prefix + "/var";
  const ProgramName& name = program_name(invocation.program());
  return {{"PACKAGE_NAME", std::string(name.printed)},
          {"PACKAGE_VERSION", std::string(name.version)},
          {"PREFIX", prefix},
          {"EXECPREFIX", prefix},
          {"BINDIR", folder},
          {"SBINDIR", prefix + "/sbin"},
          {"LIBEXECDIR", prefix + "/libexec"},
          {"DATAROOTDIR", prefix + "/share"},
          {"DATADIR", prefix + "/share"},
          {"SYSCONFDIR", configuration},
          {"LOCALSTATEDIR", state},
          {"LIBDIR", prefix + "/lib"},
          {"MANDIR", prefix + "/share/man"},
          {"APPTAINER_CONFDIR", configuration + "/apptainer"},
          {"SESSIONDIR", state + "/apptainer/mnt/session"},
          {"PLUGIN_ROOTDIR", prefix + "/libexec/apptainer/plugin"},
          {"APPTAINER_CONF_FILE", configuration + "/apptainer/apptainer.conf"},
          {"APPTAINER_SUID_INSTALL", "0"}};
}

constexpr auto kNoOptions = std::to_array<OptionRow>({
    {.name = "help", .letter = 'h', .help = "show this text"},
    {.name = "secret", .letter = 's'},
});

}  // namespace

int run_buildcfg_verb(const Invocation& invocation) {
  const auto parsed = invocation.parse("[VARIABLE]", kNoOptions);
  if (!parsed) return EXIT_SUCCESS;
  const std::vector<std::string>& words = parsed->positionals();
  if (words.size() > 1)
    invocation.throw_usage(base::cat("accepts at most 1 arg(s), received ", words.size()));
  bool found = words.empty();
  for (const auto& [name, value] : build_variables(invocation)) {
    if (words.empty()) {
      base::print(name, "=", value, "\n");
    } else if (name == words[0]) {
      base::print(value, "\n");
      found = true;
    }
  }
  if (!found) invocation.throw_usage("no variable named " + base::printable(words[0]));
  return EXIT_SUCCESS;
}

// `key list`, `remote list`...: whatever else these verbs do is refused.
int run_empty_verb(const Invocation& invocation) {
  const std::span<const char* const> words = invocation.arguments();
  if (words.empty() || std::string_view(words[0]) != "list") return refuse_verb(invocation);
  if (!invocation.below().parse("", kNoOptions)) return EXIT_SUCCESS;
  if (invocation.verb() == "plugin") {
    base::print("There are no plugins installed.\n");
  } else if (invocation.verb() == "remote") {
    base::print("\nNAME  URI  DEFAULT?  GLOBAL?  EXCLUSIVE?  SECURE?\n");
  } else {
    base::print("\n");
  }
  return EXIT_SUCCESS;
}

int run_remote_verb(const Invocation& invocation) {
  const std::span<const char* const> words = invocation.arguments();
  const std::string_view command = words.empty() ? "" : words.front();
  const auto has = [&](std::string_view wanted) {
    return std::ranges::any_of(words, [&](std::string_view word) { return word == wanted; });
  };
  // First lines of scripts that then pull from registries.
  if (command == "use" || (command == "add" && has("--no-login"))) {
    base::log_warning("'remote ", command, "' has no effect: there is no library:// here");
    return EXIT_SUCCESS;
  }
  const auto is_registry = [](std::string_view word) {
    return word.starts_with("docker://") || word.starts_with("oras://");
  };
  if ((command != "login" && command != "logout") || std::ranges::none_of(words, is_registry))
    return run_empty_verb(invocation);
  // Its words for registries, as older scripts have them.
  base::log_warning("'remote ", command, "' is deprecated for registries; running 'registry ",
                    command, "'");
  return run_registry_verb(invocation.as("registry", words));
}

}  // namespace cmd
