// SPDX-License-Identifier: Apache-2.0
// The verbs of sifrun: one row each, and what every one of them is given. A verb's own table of
// options and its work are in the file that defines its function.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "cmd/options.h"

namespace cmd {

// A verb and its arguments. Until the command line is understood, failures are usage errors, which
// end with another code than those after them.
class Invocation {
 public:
  // `failure_code` is what main returns when an exception arrives there; it must outlive this.
  Invocation(std::string program, std::string_view verb, std::span<const char* const> arguments,
             int& failure_code);

  // The name that this program was called by, without its folder.
  const std::string& program() const { return program_; }
  const std::string& verb() const { return verb_; }
  std::span<const char* const> arguments() const { return arguments_; }
  // Whether that name is one of the programs which this one stands in for.
  bool stands_in() const;

  // The same program called with another verb.
  Invocation as(std::string_view verb, std::span<const char* const> arguments) const;

  // Options from the arguments and the environment's APPTAINER_ and SINGULARITY_ keys. Throws Error
  // with a pointer to --help.
  ParsedOptions parse(std::span<const OptionRow> table) const;
  // The same of a verb that takes these arguments; nothing if --help was asked for, and given.
  std::optional<ParsedOptions> parse(std::string_view arguments,
                                     std::span<const OptionRow> table) const;
  [[noreturn]] void throw_usage(const std::string& message) const;
  // The one positional argument; throws a usage error unless there is exactly that.
  const std::string& only_argument(const ParsedOptions& parsed) const;
  // The number that a text option gives; throws a usage error if it is none.
  std::optional<std::int64_t> integer(const ParsedOptions& parsed, std::string_view option) const;
  // The command that the first argument names below this one ("instance start").
  Invocation below() const;
  // Failures from here on are not usage errors. Says what parsing had to warn of.
  void understood(const ParsedOptions& parsed) const;

 private:
  // Usage line and options.
  void print_help(std::string_view arguments, std::span<const OptionRow> table) const;

  std::string program_;
  std::string verb_;
  std::span<const char* const> arguments_;
  int& failure_code_;
};

// What --version says under the name by which the program was called.
struct ProgramName {
  std::string_view called, printed, version;
};
const ProgramName& program_name(std::string_view program);

struct VerbRow {
  std::string_view name;
  int (*run)(
      const Invocation& invocation);  // gives the exit code, throws Error, or becomes the payload
  std::string_view help{};            // empty: not shown
  std::string_view refused{};         // why it cannot be had, and what serves instead
  bool has_commands = false;          // its first argument names what to do ("instance start")
};

std::span<const VerbRow> verb_table();
// A line for each, but for those without help.
void print_verbs(std::span<const VerbRow> table);
// Throws a usage error if there is no such verb.
const VerbRow& verb_row(const std::string& program, std::string_view verb);

// From here on a limit of the caller's (`ulimit -f`) makes writes fail, which have messages,
// instead of killing us without one. Not for verbs that become the payload.
void survive_file_size_limit();

// Runs the row that the first argument names, for verbs that consist of others.
int run_second_word(const Invocation& invocation, std::span<const VerbRow> table);

// Says why it is not supported.
int refuse_verb(const Invocation& invocation);
// buildcfg; key, keyserver, plugin; remote: cmd/query_verbs.cc
int run_buildcfg_verb(const Invocation& invocation);
int run_empty_verb(const Invocation& invocation);
int run_remote_verb(const Invocation& invocation);
// The usage of the program or, as --help of a verb, of that: cmd/sifrun.cc
int run_usage_verb(const Invocation& invocation);
int run_version_verb(const Invocation& invocation);
// exec, run, shell, test: cmd/run_verbs.cc.
int run_action_verb(const Invocation& invocation);
// cmd/slurm_verb.cc
int run_slurm_verb(const Invocation& invocation);
// cmd/build_verbs.cc
int run_build_verb(const Invocation& invocation);
int run_pull_verb(const Invocation& invocation);
int run_push_verb(const Invocation& invocation);
// cmd/cache_verbs.cc
int run_cache_verb(const Invocation& invocation);
// cmd/completion_verb.cc
int run_completion_verb(const Invocation& invocation);
// cmd/inspect_verbs.cc
int run_inspect_verb(const Invocation& invocation);
int run_help_verb(const Invocation& invocation);
// cmd/instance_verbs.cc
int run_instance_verb(const Invocation& invocation);
// cmd/overlay_verbs.cc
int run_overlay_verb(const Invocation& invocation);
// cmd/registry_verbs.cc
int run_registry_verb(const Invocation& invocation);
// cmd/sign_verbs.cc
int run_sign_verb(const Invocation& invocation);
int run_verify_verb(const Invocation& invocation);
// cmd/sif_verbs.cc
int run_sif_verb(const Invocation& invocation);

}  // namespace cmd
