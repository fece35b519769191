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
#include "cmd/run_options.h"
#include "runtime/host_plan.h"
#include "runtime/launch.h"

namespace cmd {
namespace {

constexpr auto kGlobalTable = std::to_array<OptionRow>({
    {.name = "quiet", .letter = 'q', .help = "warnings and errors only"},
    {.name = "silent", .letter = 's', .help = "errors only"},
    {.name = "verbose", .letter = 'v', .help = "more messages"},
    {.name = "debug", .letter = 'd', .help = "all messages"},
    {.name = "nocolor", .help = "no colours in messages"},
    {.name = "version", .help = "print the version"},
    {.name = "help", .letter = 'h', .help = "this text"},
});

struct VerbRow {
  std::string_view name;
  runtime::Verb verb;
  std::string_view arguments, help;
};
constexpr auto kVerbs = std::to_array<VerbRow>({
    {"exec", runtime::Verb::exec, "IMAGE COMMAND [ARG...]", "run a command in the image"},
    {"run", runtime::Verb::run, "IMAGE [ARG...]", "run the image's own program"},
    {"shell", runtime::Verb::shell, "IMAGE", "start an interactive shell in the image"},
    {"test", runtime::Verb::test, "IMAGE [ARG...]", "run the image's test"},
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

// Usage errors end with another code than failures after them.
struct Outcome {
  int failure_code = kExitUsage;
};

[[noreturn]] void throw_usage(const std::string& message, const std::string& command) {
  throw base::error(message).with_hint("see `" + command + " --help`");
}

ParsedOptions parse_or_point_to_help(std::span<const OptionRow> table,
                                     std::span<const char* const> arguments,
                                     const OptionEnvironment& environment,
                                     const std::string& command) {
  try {
    return parse_options(table, arguments, environment);
  } catch (base::Error& error) {
    throw std::move(error).with_hint("see `" + command + " --help`");
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
  for (const VerbRow& row : kVerbs)
    std::cout << "  " << row.name << std::string(10 - row.name.size(), ' ') << row.help << "\n";
  std::cout << "\n"
            << options_help(kGlobalTable) << "\nSee `" << program
            << " VERB --help` for the options of a verb.\n";
}

// The program that this one stands in for fetches and builds images from addresses; these are
// files.
void refuse_address(const std::string& image) {
  static constexpr auto kArchives =
      std::to_array<std::string_view>({"docker-archive:", "oci-archive:"});
  const bool archive = std::ranges::any_of(
      kArchives, [&](std::string_view prefix) { return image.starts_with(prefix); });
  const bool address = archive || image.find("://") != std::string::npos ||
                       image.starts_with("docker-daemon:") || image.starts_with("oci:");
  if (!address || ::access(image.c_str(), F_OK) == 0) return;
  throw base::error("the image must be a file or a folder, not ", base::printable(image))
      .with_hint(archive ? base::cat("convert it first: sifconv ", image)
                         : "where you have Docker: docker save IMAGE | sifconv - image.sif");
}

int launch_verb(const VerbRow& verb, const ParsedOptions& parsed, std::vector<std::string> words,
                const std::string& program) {
  runtime::HostFacts facts = runtime::gather_host_facts(std::getenv("PWD"));
  runtime::RunOptions options = make_run_options(
      parsed, environ, facts.directory ? facts.directory->physical : std::string("/"));
  refuse_address(words[0]);
  options.image = words[0];
  options.action.verb = verb.verb;
  words.erase(words.begin());
  options.action.arguments = std::move(words);
  if (program == "sifrun") options.action.environment.title = "sifrun";
  options.host.home = facts.caller.home;
  options.host.stands_in = program == "singularity" || program == "apptainer";
  options.host.contained = options.contain || options.action.environment.clean;
  const runtime::HostFeatures features = options.host;
  runtime::RunPlan plan = runtime::make_run_plan(std::move(options), std::move(facts));
  runtime::add_host_features(features, plan);
  for (const std::string& warning : plan.warnings) base::log_warning(warning);
  if (parsed.flag("dry-run")) {
    std::cout << runtime::describe(plan);
    return EXIT_SUCCESS;
  }
  for (const std::string& note : plan.host.notes) base::log_verbose(note);
  runtime::launch(std::move(plan));
}

int run_verb(const VerbRow& verb, std::span<const char* const> arguments,
             const std::string& program, Outcome& outcome) {
  const std::string command = base::cat(program, " ", verb.name);
  const ParsedOptions parsed = parse_or_point_to_help(
      run_option_table(), arguments, {{"APPTAINER_", "SINGULARITY_"}, environ}, command);
  if (parsed.flag("help")) {
    std::cout << "Usage: " << command << " [options] " << verb.arguments << "\n\n"
              << options_help(run_option_table());
    return EXIT_SUCCESS;
  }
  const std::vector<std::string>& words = parsed.positionals();
  if (words.empty()) throw_usage("no image given", command);
  if (verb.verb == runtime::Verb::exec && words.size() < 2)
    throw_usage("no command given", command);
  outcome.failure_code = kExitFatal;
  for (const std::string& warning : parsed.warnings()) base::log_warning(warning);
  const bool too_many = verb.verb == runtime::Verb::shell && words.size() > 1;
  if (too_many) base::log_warning("shell takes no arguments besides the image, ignoring them");
  return launch_verb(verb, parsed, too_many ? std::vector{words[0]} : words, program);
}

int run_program(const std::string& program, std::vector<const char*> arguments, Outcome& outcome) {
  // The first line of a SIF names this program: ./x.sif ARG... is a quiet run.
  if (program == "run-singularity") arguments.insert(arguments.begin(), {"--quiet", "run"});
  const ParsedOptions global = parse_or_point_to_help(kGlobalTable, arguments, {}, program);
  set_messages(global);
  const std::vector<std::string>& words = global.positionals();
  const NameRow& name = name_row(program);
  if (global.flag("version")) {
    std::cout << name.printed << " version " << name.version << "\n";
    return EXIT_SUCCESS;
  }
  if (global.flag("help") || words.empty() || words[0] == "help") {
    print_help(program);
    return words.empty() && !global.flag("help") ? kExitUsage : EXIT_SUCCESS;
  }
  if (words[0] == "version") {
    std::cout << name.version << "\n";
    return EXIT_SUCCESS;
  }
  const auto* verb = std::ranges::find(kVerbs, words[0], &VerbRow::name);
  if (verb == kVerbs.end())
    throw_usage(base::cat("unknown command ", base::printable(words[0])), program);
  const auto rest = std::span<const char* const>(arguments).last(words.size() - 1);
  return run_verb(*verb, rest, program, outcome);
}

}  // namespace

int sifrun_main(int argc, char** argv) {
  Outcome outcome;
  try {
    base::reserve_standard_streams();
    const std::string path = argc > 0 ? argv[0] : "sifrun";
    const std::vector<const char*> arguments(argv + std::min(argc, 1), argv + argc);
    return run_program(path.substr(path.rfind('/') + 1), arguments, outcome);
  } catch (const base::Error& error) {
    base::log_fatal(error);
  } catch (const std::exception& problem) {
    base::log_fatal(base::error("unexpected failure: ", problem.what()));
  }
  return outcome.failure_code;
}

}  // namespace cmd
