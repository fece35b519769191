// SPDX-License-Identifier: Apache-2.0
// exec, run, shell and test: options -> plan -> launch.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/output.h"
#include "cmd/action_plan.h"
#include "cmd/exit_codes.h"
#include "cmd/image_fetch.h"
#include "cmd/instances.h"
#include "cmd/run_options.h"
#include "cmd/verbs.h"
#include "runtime/host_plan.h"
#include "runtime/instance.h"
#include "runtime/launch.h"

namespace cmd {
namespace {

struct ActionRow {
  std::string_view name;
  runtime::Verb verb;
  std::string_view arguments;
};
constexpr auto kActions = std::to_array<ActionRow>({
    {"exec", runtime::Verb::exec, "IMAGE COMMAND [ARG...]"},
    {"run", runtime::Verb::run, "IMAGE [ARG...]"},
    {"shell", runtime::Verb::shell, "IMAGE"},
    {"test", runtime::Verb::test, "IMAGE [ARG...]"},
});

runtime::RunOptions action_options(const Invocation& invocation, const ParsedOptions& parsed,
                                   ActionWords words, const runtime::HostFacts& facts) {
  runtime::RunOptions options = make_run_options(
      parsed, environ, facts.directory ? facts.directory->physical : std::string("/"));
  options.image = std::move(words.image);
  options.action.verb = words.verb;
  options.action.arguments = std::move(words.arguments);
  if (!invocation.stands_in()) options.action.environment.title = "sifrun";
  if (!words.instance.empty()) options.pid_namespace = true;
  options.action.environment.instance_name = std::move(words.instance);
  options.host.home = facts.caller.home;
  options.host.stands_in = invocation.stands_in();
  options.host.contained = options.contain || options.action.environment.clean;
  return options;
}

[[noreturn]] void join_instance(const Invocation& invocation, const ParsedOptions& parsed,
                                ActionWords words, runtime::HostFacts facts) {
  const runtime::InstanceRecord record =
      find_instance_folder(facts.caller).get(*find_instance_name(words.image));
  runtime::RunOptions options = action_options(invocation, parsed, std::move(words), facts);
  runtime::JoinRequest request{
      {options.start_directory, options.contain, std::move(facts.directory), record.home},
      std::move(options.action),
      options.reset_umask};
  runtime::recall_environment(record, request.action.environment);
  runtime::run_in_instance(record, std::move(request));
}

int launch_action(const Invocation& invocation, const ParsedOptions& parsed, ActionWords words) {
  base::PhaseTimes times(parsed.flag("timing"));
  runtime::HostFacts facts = runtime::gather_host_facts(std::getenv("PWD"));
  if (find_instance_name(words.image))
    join_instance(invocation, parsed, std::move(words), std::move(facts));
  const std::optional<std::string> image = fetch_image(parsed, words.image, facts.caller.home);
  if (!image) return kExitFatal;
  words.image = *image;
  runtime::RunPlan plan = plan_action(invocation, parsed, std::move(words), std::move(facts));
  if (parsed.flag("dry-run")) {
    base::print(runtime::describe(plan));
    return EXIT_SUCCESS;
  }
  for (const std::string& note : plan.host.notes) base::log_verbose(note);
  times.end_phase("facts of the host, plan");
  plan.action.times = std::move(times);
  runtime::launch(std::move(plan));
}

}  // namespace

runtime::RunPlan plan_action(const Invocation& invocation, const ParsedOptions& parsed,
                             ActionWords words, runtime::HostFacts facts) {
  runtime::RunOptions options = action_options(invocation, parsed, std::move(words), facts);
  const runtime::HostFeatures features = options.host;
  runtime::RunPlan plan = runtime::make_run_plan(std::move(options), std::move(facts));
  runtime::add_host_features(features, plan);
  for (const std::string& warning : plan.warnings) base::log_warning(warning);
  return plan;
}

int run_action_verb(const Invocation& invocation) {
  const ActionRow& action = *std::ranges::find(kActions, invocation.verb(), &ActionRow::name);
  const auto parsed = invocation.parse(action.arguments, run_option_table());
  if (!parsed) return EXIT_SUCCESS;
  std::vector<std::string> words = parsed->positionals();
  if (words.empty()) invocation.throw_usage("no image given");
  if (action.verb == runtime::Verb::exec && words.size() < 2)
    invocation.throw_usage("no command given");
  invocation.understood(*parsed);
  if (action.verb == runtime::Verb::shell && words.size() > 1) {
    base::log_warning("shell takes no arguments besides the image, ignoring them");
    words.resize(1);
  }
  std::string image = std::move(words.front());
  words.erase(words.begin());
  return launch_action(invocation, *parsed, {action.verb, std::move(image), std::move(words), ""});
}

}  // namespace cmd
