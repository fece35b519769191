// SPDX-License-Identifier: Apache-2.0
#include "cmd/sifrun.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "cmd/exit_codes.h"
#include "cmd/options.h"
#include "cmd/verbs.h"

namespace cmd {
namespace {

constexpr auto kGlobalTable = std::to_array<OptionRow>({
    {.name = "quiet", .letter = 'q', .help = "warnings and errors only"},
    {.name = "silent", .letter = 's', .help = "errors only"},
    {.name = "verbose", .letter = 'v', .help = "more messages"},
    {.name = "debug", .letter = 'd', .help = "all messages"},
    {.name = "nocolor", .help = "no colours in messages"},
    {.name = "config",
     .letter = 'c',
     .kind = OptionKind::text,
     .value = "FILE",
     .help = "accepted; there is no configuration file"},
    {.name = "version", .help = "print the version"},
    {.name = "help", .letter = 'h', .help = "this text"},
});

// What tools parse to learn which options they may use: under the names of the programs that this
// one stands in for it answers with the version whose command line it follows.
struct NameRow {
  std::string_view called, printed, version;
};
constexpr auto kNames = std::to_array<NameRow>({
    {"apptainer", "apptainer", "1.4.5"},
    {"singularity", "apptainer", "1.4.5"},
    {"sifrun", "sifrun", SIFCONV_VERSION},
});

const NameRow& name_row(std::string_view program) {
  const auto* found = std::ranges::find(kNames, program, &NameRow::called);
  return found == kNames.end() ? kNames.back() : *found;
}

ParsedOptions parse_global(std::span<const char* const> arguments, const std::string& hint) {
  try {
    return parse_options(kGlobalTable, arguments);
  } catch (base::Error& error) {
    throw std::move(error).with_hint(hint);
  }
}

void set_messages(const ParsedOptions& global) {
  if (global.flag("quiet")) base::set_log_level(base::LogLevel::log);
  if (global.flag("silent")) base::set_log_level(base::LogLevel::error);
  if (global.flag("verbose")) base::set_log_level(base::LogLevel::verbose);
  if (global.flag("debug")) base::set_log_level(base::LogLevel::debug);
  if (global.flag("nocolor")) base::set_log_color(false);
}

void print_help(const std::string& program) {
  std::cout << "Usage: " << program << " [options] VERB [options] IMAGE [ARGUMENT...]\n\n"
            << "Runs programs from a container image (SIF, squashfs or directory) as yourself.\n\n"
            << "Verbs:\n";
  for (const VerbRow& row : verb_table()) {
    if (!row.help.empty())
      std::cout << "  " << row.name << std::string(10 - row.name.size(), ' ') << row.help << "\n";
  }
  std::cout << "\n"
            << options_help(kGlobalTable) << "\nSee `" << program
            << " VERB --help` for the options of a verb.\n";
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
    const NameRow& name = name_row(program);
    std::cout << name.printed << " version " << name.version << "\n";
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
  std::cout << name_row(invocation.program()).version << "\n";
  return EXIT_SUCCESS;
}

int sifrun_main(int argc, char** argv) {
  int failure_code = kExitUsage;
  try {
    base::reserve_standard_streams();
    const std::string path = argc > 0 ? argv[0] : "sifrun";
    const std::vector<const char*> arguments(argv + std::min(argc, 1), argv + argc);
    return run_program(path.substr(path.rfind('/') + 1), arguments, failure_code);
  } catch (const base::Error& error) {
    base::log_fatal(error);
  } catch (const std::exception& problem) {
    base::log_fatal(base::error("unexpected failure: ", problem.what()));
  }
  return failure_code;
}

}  // namespace cmd
