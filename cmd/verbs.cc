// SPDX-License-Identifier: Apache-2.0
#include "cmd/verbs.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "base/log.h"
#include "base/output.h"
#include "base/text.h"
#include "cmd/exit_codes.h"

namespace cmd {
namespace {

// What tools parse to learn which options they may use: under the names of the programs that this
// one stands in for it answers with the version whose command line it follows.
constexpr auto kNames = std::to_array<ProgramName>({
    {"apptainer", "apptainer", "1.4.5"},
    {"singularity", "apptainer", "1.4.5"},
    {"sifrun", "sifrun", SIFCONV_VERSION},
});

constexpr std::string_view kPemKeys = "sign and verify take PEM keys: `openssl genpkey`, --key";
constexpr std::string_view kRemotes =
    "there is no library://; logins to registries are those of `registry login`";
constexpr std::string_view kLibraries = "images come from registries: `pull docker://HOST/NAME`";
constexpr std::string_view kNoSetuid =
    "it concerns installations with rights of root, and this program has none";

constexpr auto kVerbs = std::to_array<VerbRow>({
    {"exec", run_action_verb, "run a command in the image"},
    {"run", run_action_verb, "run the image's own program"},
    {"shell", run_action_verb, "start an interactive shell in the image"},
    {"test", run_action_verb, "run the image's test"},
    {.name = "instance",
     .run = run_instance_verb,
     .help = "containers that run in the background",
     .has_commands = true},
    {"build", run_build_verb, "convert an image of another kind"},
    {"pull", run_pull_verb, "fetch an image from a registry or a web server"},
    {"push", run_push_verb, "store a SIF in a registry"},
    {.name = "cache",
     .run = run_cache_verb,
     .help = "list or remove images converted earlier",
     .has_commands = true},
    {.name = "overlay",
     .run = run_overlay_verb,
     .help = "make an image that keeps a container's changes",
     .has_commands = true},
    {.name = "registry",
     .run = run_registry_verb,
     .help = "log in to registries and out",
     .has_commands = true},
    {"inspect", run_inspect_verb, "show labels, scripts and apps of an image"},
    {"slurm-task", run_slurm_verb},
    {"run-help", run_help_verb, "show the help text of an image"},
    {"sign", run_sign_verb, "sign an image with a PEM key"},
    {"verify", run_verify_verb, "verify the signatures of an image"},
    {.name = "sif",
     .run = run_sif_verb,
     .help = "show and change what a SIF file contains",
     .has_commands = true},
    {"help", run_usage_verb, "show the options of a verb"},
    {"completion", run_completion_verb, "print a script with which a shell completes lines"},
    {"version", run_version_verb, "print the version"},
    {.name = "key", .run = run_empty_verb, .refused = kPemKeys},
    {.name = "keys", .run = run_empty_verb, .refused = kPemKeys},
    {.name = "keyserver", .run = run_empty_verb, .refused = kPemKeys},
    {.name = "remote", .run = run_remote_verb, .refused = kRemotes},
    {.name = "search", .run = refuse_verb, .refused = kLibraries},
    {.name = "delete", .run = refuse_verb, .refused = kLibraries},
    {.name = "capability", .run = refuse_verb, .refused = kNoSetuid},
    {.name = "caps", .run = refuse_verb, .refused = kNoSetuid},
    {.name = "config", .run = refuse_verb, .refused = kNoSetuid},
    {.name = "oci", .run = refuse_verb, .refused = kNoSetuid},
    {.name = "plugin", .run = run_empty_verb, .refused = "there are no plugins"},
    {.name = "checkpoint",
     .run = refuse_verb,
     .refused = "start DMTCP in the container: `exec IMAGE dmtcp_launch COMMAND`"},
    {.name = "buildcfg", .run = run_buildcfg_verb},
    {.name = "confgen", .run = refuse_verb, .refused = "there is no configuration file"},
});

std::string command_of(const Invocation& invocation) {
  return base::cat(invocation.program(), " ", invocation.verb());
}

}  // namespace

std::span<const VerbRow> verb_table() { return kVerbs; }

const ProgramName& program_name(std::string_view program) {
  const auto* found = std::ranges::find(kNames, program, &ProgramName::called);
  return found == kNames.end() ? kNames.back() : *found;
}

int refuse_verb(const Invocation& invocation) {
  const std::string why(verb_row(invocation.program(), invocation.verb()).refused);
  const auto asks_help = [](std::string_view word) { return word == "--help" || word == "-h"; };
  if (std::ranges::any_of(invocation.arguments(), asks_help)) {
    base::print(command_of(invocation), " is not supported: ", why, "\n");
    return EXIT_SUCCESS;
  }
  base::log_fatal(base::error(command_of(invocation), " is not supported: ", why));
  return kExitFatal;
}

const VerbRow& verb_row(const std::string& program, std::string_view verb) {
  const auto* row = std::ranges::find(kVerbs, verb, &VerbRow::name);
  if (row != kVerbs.end()) return *row;
  throw base::error("unknown command ", base::printable(verb))
      .with_hint("see `" + program + " --help`");
}

Invocation::Invocation(std::string program, std::string_view verb,
                       std::span<const char* const> arguments, int& failure_code)
    : program_(std::move(program)),
      verb_(verb),
      arguments_(arguments),
      failure_code_(failure_code) {
  failure_code_ = kExitUsage;
}

Invocation Invocation::as(std::string_view verb, std::span<const char* const> arguments) const {
  return {program_, verb, arguments, failure_code_};
}

ParsedOptions Invocation::parse(std::span<const OptionRow> table) const {
  try {
    return parse_options(table, arguments_, {{"APPTAINER_", "SINGULARITY_"}, environ});
  } catch (base::Error& error) {
    throw std::move(error).with_hint("see `" + command_of(*this) + " --help`");
  }
}

std::optional<ParsedOptions> Invocation::parse(std::string_view arguments,
                                               std::span<const OptionRow> table) const {
  ParsedOptions parsed = parse(table);
  if (!parsed.flag("help")) return parsed;
  print_help(arguments, table);
  return std::nullopt;
}

bool Invocation::stands_in() const {
  return program_ == "apptainer" || program_ == "singularity" || program_ == "run-singularity";
}

void Invocation::throw_usage(const std::string& message) const {
  failure_code_ = kExitUsage;
  throw base::error(message).with_hint("see `" + command_of(*this) + " --help`");
}

const std::string& Invocation::only_argument(const ParsedOptions& parsed) const {
  const std::size_t count = parsed.positionals().size();
  if (count != 1) throw_usage(base::cat("accepts 1 arg(s), received ", count));
  return parsed.positionals().front();
}

std::optional<std::int64_t> Invocation::integer(const ParsedOptions& parsed,
                                                std::string_view option) const {
  const auto& text = parsed.text(option);
  if (!text) return std::nullopt;
  const std::optional<std::int64_t> number = find_integer(*text);
  if (!number) throw_usage(base::cat("--", option, " ", base::printable(*text), " is no number"));
  return number;
}

Invocation Invocation::below() const {
  return as(base::cat(verb_, " ", arguments_.front()), arguments_.subspan(1));
}

void print_verbs(std::span<const VerbRow> table) {
  for (const VerbRow& row : table) {
    if (!row.help.empty()) base::print("  ", base::padded(row.name, 12), row.help, "\n");
  }
}

void survive_file_size_limit() { ::signal(SIGXFSZ, SIG_IGN); }

int run_second_word(const Invocation& invocation, std::span<const VerbRow> table) {
  const std::span<const char* const> words = invocation.arguments();
  const auto row = words.empty() ? table.end() : std::ranges::find(table, words[0], &VerbRow::name);
  if (row != table.end()) return row->run(invocation.below());
  base::print("Usage: ", invocation.program(), " ", invocation.verb(),
              " COMMAND [options] ...\n\nCommands:\n");
  print_verbs(table);
  const std::string_view word = words.empty() ? "" : words[0];
  return word == "--help" || word == "-h" ? EXIT_SUCCESS : kExitUsage;
}

void Invocation::understood(const ParsedOptions& parsed) const {
  failure_code_ = kExitFatal;
  for (const std::string& warning : parsed.warnings()) base::log_warning(warning);
}

void Invocation::print_help(std::string_view arguments, std::span<const OptionRow> table) const {
  base::print("Usage: ", command_of(*this), " [options] ", arguments, "\n\n", options_help(table));
}

}  // namespace cmd
