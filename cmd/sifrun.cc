// SPDX-License-Identifier: Apache-2.0
#include "cmd/sifrun.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/output.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "cmd/exit_codes.h"
#include "cmd/options.h"
#include "cmd/verbs.h"
#include "runtime/instance.h"

namespace cmd {
namespace {

constexpr auto kGlobalTable = std::to_array<OptionRow>({
    {.name = "quiet", .letter = 'q', .help = "warnings and errors only", .env = "QUIET"},
    {.name = "silent", .letter = 's', .help = "errors only", .env = "SILENT"},
    {.name = "verbose", .letter = 'v', .help = "more messages", .env = "VERBOSE"},
    {.name = "debug", .letter = 'd', .help = "all messages", .env = "DEBUG"},
    {.name = "nocolor", .help = "no colours in messages", .env = "NOCOLOR"},
    {.name = "config",
     .letter = 'c',
     .kind = OptionKind::text,
     .value = "FILE",
     .help = "accepted; there is no configuration file"},
    {.name = "version", .help = "print the version"},
    {.name = "help", .letter = 'h', .help = "this text"},
    // Accepted without effect: it chooses a configuration for building.
    {.name = "build-config"},
});

ParsedOptions parse_global(std::span<const char* const> arguments, const std::string& hint) {
  try {
    return parse_options(kGlobalTable, arguments, {{"APPTAINER_", "SINGULARITY_"}, environ});
  } catch (base::Error& error) {
    throw std::move(error).with_hint(hint);
  }
}

// APPTAINER_MESSAGELEVEL, a number, asks for more messages than usual; as with Apptainer it cannot
// ask for fewer.
void raise_message_level() {
  const char* level = std::getenv("APPTAINER_MESSAGELEVEL");
  if (level == nullptr) level = std::getenv("SINGULARITY_MESSAGELEVEL");
  const std::int64_t number = level == nullptr ? 0 : find_integer(level).value_or(0);
  if (number >= static_cast<int>(base::LogLevel::debug)) {
    base::set_log_level(base::LogLevel::debug);
  } else if (number >= static_cast<int>(base::LogLevel::verbose)) {
    base::set_log_level(base::LogLevel::verbose);
  }
}

void set_messages(const ParsedOptions& global) {
  raise_message_level();
  if (global.flag("quiet")) base::set_log_level(base::LogLevel::log);
  if (global.flag("silent")) base::set_log_level(base::LogLevel::error);
  if (global.flag("verbose")) base::set_log_level(base::LogLevel::verbose);
  if (global.flag("debug")) base::set_log_level(base::LogLevel::debug);
  if (global.flag("nocolor")) base::set_log_color(false);
  for (const std::string& warning : global.warnings()) base::log_warning(warning);
}

void print_help(const std::string& program) {
  base::print("Usage: ", program,
              " [options] VERB [options] IMAGE [ARGUMENT...]\n\n"
              "Runs programs from a container image (SIF, squashfs or directory) as yourself,\n"
              "with the command line of Apptainer and Singularity (apptainer, singularity).\n\n"
              "Verbs:\n");
  print_verbs(verb_table());
  base::print("\n", options_help(kGlobalTable), "\nSee `", program,
              " VERB --help` for the options of a verb.\n");
}

int run_program(const std::string& program, std::vector<const char*> arguments, int& failure_code) {
  // The first line of a SIF names this program: ./x.sif ARG... is a quiet run.
  if (program == "run-singularity") arguments.insert(arguments.begin(), {"--quiet", "run"});
  const std::string help = "see `" + program + " --help`";
  const ParsedOptions global = parse_global(arguments, help);
  set_messages(global);
  if (global.text("config")) base::log_warning("--config: there is no configuration file to read");
  const std::vector<std::string>& words = global.positionals();
  if (global.flag("version")) {
    const ProgramName& name = program_name(program);
    base::print(name.printed, " version ", name.version, "\n");
    return EXIT_SUCCESS;
  }
  if (global.flag("help") || words.empty()) {
    print_help(program);
    return global.flag("help") ? EXIT_SUCCESS : kExitUsage;
  }
  const VerbRow& verb = verb_row(program, words[0]);
  const auto rest = std::span<const char* const>(arguments).last(words.size() - 1);
  return verb.run(Invocation(program, verb.name, rest, failure_code));
}

}  // namespace

// Of the words after VERB only a command of it counts: none of them may start anything.
int run_usage_verb(const Invocation& invocation) {
  const std::span<const char* const> words = invocation.arguments();
  if (words.empty() || words[0][0] == '-' || words[0] == invocation.verb()) {
    print_help(invocation.program());
    return EXIT_SUCCESS;
  }
  const VerbRow& verb = verb_row(invocation.program(), words[0]);
  std::vector<const char*> arguments = {"--help"};
  if (verb.has_commands && words.size() > 1) arguments.insert(arguments.begin(), words[1]);
  return verb.run(invocation.as(verb.name, arguments));
}

int run_version_verb(const Invocation& invocation) {
  base::print(program_name(invocation.program()).version, "\n");
  return EXIT_SUCCESS;
}

int sifrun_main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[0]) == runtime::kInitName && ::getpid() == 1)
    runtime::run_instance_init(std::atoi(argv[1]), std::atoi(argv[2]));
  int failure_code = kExitUsage;
  try {
    base::reserve_standard_streams();
    const std::string path = argc > 0 ? argv[0] : "sifrun";
    const std::vector<const char*> arguments(argv + std::min(argc, 1), argv + argc);
    const int status = run_program(path.substr(path.rfind('/') + 1), arguments, failure_code);
    failure_code = kExitFatal;
    base::flush_output();
    return status;
  } catch (const base::Error& error) {
    base::log_fatal(error);
  } catch (const std::exception& problem) {
    base::log_fatal(base::error("unexpected failure: ", problem.what()));
  }
  return failure_code;
}

}  // namespace cmd
