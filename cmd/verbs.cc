// SPDX-License-Identifier: Apache-2.0
#include "cmd/verbs.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "base/log.h"
#include "base/text.h"
#include "cmd/exit_codes.h"

namespace cmd {
namespace {

constexpr auto kVerbs = std::to_array<VerbRow>({
    {"exec", run_action_verb, "run a command in the image"},
    {"run", run_action_verb, "run the image's own program"},
    {"shell", run_action_verb, "start an interactive shell in the image"},
    {"test", run_action_verb, "run the image's test"},
    {"instance", run_instance_verb, "containers that run in the background"},
    {"build", run_build_verb, "convert an image of another kind"},
    {"pull", run_pull_verb, "fetch an image from a registry"},
    {"inspect", run_inspect_verb, "show labels, scripts and apps of an image"},
    {"slurm-task", run_slurm_verb},
    {"run-help", run_help_verb, "show the help text of an image"},
    {"sign", run_sign_verb, "sign an image with a PEM key"},
    {"verify", run_verify_verb, "verify the signatures of an image"},
    {"sif", run_sif_verb, "show and change what a SIF file contains"},
});

std::string command_of(const Invocation& invocation) {
  return base::cat(invocation.program(), " ", invocation.verb());
}

}  // namespace

std::span<const VerbRow> verb_table() { return kVerbs; }

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

Invocation Invocation::below() const {
  return as(base::cat(verb_, " ", arguments_.front()), arguments_.subspan(1));
}

int run_second_word(const Invocation& invocation, std::span<const VerbRow> table) {
  const std::span<const char* const> words = invocation.arguments();
  const auto row = words.empty() ? table.end() : std::ranges::find(table, words[0], &VerbRow::name);
  if (row != table.end()) return row->run(invocation.below());
  std::cout << "Usage: " << invocation.program() << " " << invocation.verb()
            << " COMMAND [options] ...\n\nCommands:\n";
  for (const VerbRow& each : table) {
    if (!each.help.empty())
      std::cout << "  " << each.name << std::string(10 - each.name.size(), ' ') << each.help
                << "\n";
  }
  return words.empty() || words[0][0] != '-' ? kExitUsage : EXIT_SUCCESS;
}

void Invocation::understood(const ParsedOptions& parsed) const {
  failure_code_ = kExitFatal;
  for (const std::string& warning : parsed.warnings()) base::log_warning(warning);
}

void Invocation::print_help(std::string_view arguments, std::span<const OptionRow> table) const {
  std::cout << "Usage: " << command_of(*this) << " [options] " << arguments << "\n\n"
            << options_help(table);
}

}  // namespace cmd
