// SPDX-License-Identifier: Apache-2.0
// instance: start, run, stop and list containers that run in the background.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/output.h"
#include "base/output_file.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "cmd/action_plan.h"
#include "cmd/exit_codes.h"
#include "cmd/image_fetch.h"
#include "cmd/instances.h"
#include "cmd/run_options.h"
#include "cmd/verbs.h"
#include "oci/json.h"
#include "runtime/instance.h"
#include "runtime/launch.h"

namespace cmd {
namespace {

using enum OptionKind;
using runtime::InstanceRecord;

constexpr std::string_view kAsThatUser = "run the command as that user";

constexpr auto kStopTable = std::to_array<OptionRow>({
    {.name = "all", .letter = 'a', .help = "all instances"},
    {.name = "force", .letter = 'F', .help = "kill it", .env = "FORCE"},
    {.name = "signal",
     .letter = 's',
     .kind = text,
     .value = "SIGNAL",
     .help = "what to send first: TERM, SIGTERM or 15 (INT)",
     .env = "SIGNAL"},
    {.name = "timeout",
     .letter = 't',
     .kind = text,
     .value = "SECONDS",
     .help = "kill what has not ended by then (10)"},
    {.name = "user", .letter = 'u', .kind = text, .refused = kAsThatUser},
    {.name = "help", .letter = 'h', .help = "this text"},
});
constexpr auto kInstanceListTable = std::to_array<OptionRow>({
    {.name = "all", .letter = 'a'},
    {.name = "json", .letter = 'j', .help = "print JSON"},
    {.name = "logs", .letter = 'l', .help = "show where the output goes"},
    {.name = "user", .letter = 'u', .kind = text, .refused = kAsThatUser},
    {.name = "help", .letter = 'h', .help = "this text"},
});

constexpr auto kStatsTable = std::to_array<OptionRow>({
    {.name = "json", .letter = 'j'},
    {.name = "no-stream"},
    {.name = "user", .letter = 'u', .kind = text, .refused = kAsThatUser},
    {.name = "help", .letter = 'h', .help = "this text"},
});

// The options of exec, and one of its own.
std::span<const OptionRow> start_table() {
  static const std::vector<OptionRow> rows = [] {
    const std::span<const OptionRow> shared = run_option_table();
    std::vector<OptionRow> all(shared.begin(), shared.end());
    all.push_back({.name = "pid-file",
                   .kind = text,
                   .value = "FILE",
                   .help = "write the instance's process number to FILE",
                   .env = "PID_FILE",
                   .group = all.front().group});
    return all;
  }();
  return rows;
}

runtime::InstanceFolder own_folder() {
  return find_instance_folder(runtime::gather_host_facts(nullptr).caller);
}

// The instance runs, and is not given up for want of its number.
void write_pid_file(const std::string& path, pid_t number) {
  try {
    base::AtomicOutputFile file(path, 0644, base::Existing::replace);
    base::write_all(file.fd(), base::cat(number, "\n"), path);
    file.commit();
  } catch (const base::Error& problem) {
    base::log_warning("--pid-file: ", problem.what());
  }
}

int start(const Invocation& invocation, runtime::Verb verb) {
  const auto parsed = invocation.parse("IMAGE NAME [ARG...]", start_table());
  if (!parsed) return EXIT_SUCCESS;
  const std::vector<std::string>& words = parsed->positionals();
  if (words.size() < 2)
    invocation.throw_usage(base::cat("requires at least 2 arg(s), only received ", words.size()));
  invocation.understood(*parsed);
  const std::string& name = words[1];

  runtime::HostFacts facts = runtime::gather_host_facts(std::getenv("PWD"));
  const runtime::InstanceFolder folder = find_instance_folder(facts.caller);
  InstanceRecord record = folder.make_record(name);
  const std::optional<std::string> image = fetch_image(*parsed, words[0], facts.caller.home);
  if (!image) return kExitFatal;
  base::UniqueFd lock = folder.lock();
  if (!folder.find(name).empty()) throw base::error("instance ", name, " already exists");
  runtime::RunPlan plan =
      plan_action(invocation, *parsed, {verb, *image, {words.begin() + 2, words.end()}, name},
                  std::move(facts));
  if (parsed->flag("dry-run")) {
    base::print(runtime::describe(plan));
    return EXIT_SUCCESS;
  }
  runtime::remember_environment(plan.action.environment, record);
  record.capabilities = plan.capabilities;
  record.seccomp_profile = plan.seccomp_profile;
  record.uid = plan.identity.uid;
  record.gid = plan.identity.gid;
  runtime::start_instance(std::move(plan), folder, std::move(record), std::move(lock));
  base::log_info("instance started successfully");
  if (const auto& path = parsed->text("pid-file"); path && !path->empty())
    write_pid_file(*path, folder.get(name).init.pid);
  return EXIT_SUCCESS;
}

int start_verb(const Invocation& invocation) { return start(invocation, runtime::Verb::start); }
int run_verb(const Invocation& invocation) { return start(invocation, runtime::Verb::run); }

// "TERM", "SIGTERM" or "15".
int parse_signal(std::string_view text) {
  const int given = base::find_number<int>(text).value_or(0);
  if (given > 0 && given < NSIG) return given;
  std::string_view name = text;
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (int number = 1; number < NSIG; ++number) {
    const char* abbreviation = ::sigabbrev_np(number);
    if (abbreviation != nullptr && name == abbreviation) return number;
  }
  throw base::error("no signal found with name ", base::printable(text));
}

std::chrono::seconds timeout_of(const Invocation& invocation, const ParsedOptions& parsed) {
  constexpr std::int64_t kDefault = 10;
  constexpr std::int64_t kMost = 1'000'000'000;  // a clock can be set that far
  const std::int64_t seconds = invocation.integer(parsed, "timeout").value_or(kDefault);
  return std::chrono::seconds(std::clamp<std::int64_t>(seconds, 0, kMost));
}

std::string description(const InstanceRecord& record) {
  return base::cat(record.name, " instance of ", base::printable(record.image),
                   " (PID=", record.init.pid, ")");
}

void wait_for_end(std::vector<InstanceRecord>& instances, std::chrono::milliseconds limit) {
  constexpr std::chrono::milliseconds kPause(10);
  const auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    std::erase_if(instances, [](const InstanceRecord& each) { return !is_alive(each.init); });
    if (instances.empty() || std::chrono::steady_clock::now() >= end) return;
    std::this_thread::sleep_for(kPause);
  }
}

// By who watches the instance: when all that it has changed is in its images. Others are removed
// here, dead.
void wait_for_removal(const runtime::InstanceFolder& folder,
                      const std::vector<InstanceRecord>& instances,
                      std::chrono::milliseconds limit) {
  constexpr std::chrono::milliseconds kPause(10);
  const auto end = std::chrono::steady_clock::now() + limit;
  for (const InstanceRecord& record : instances) {
    if (is_alive(record.init)) continue;
    while (folder.has(record) && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(kPause);
    folder.remove(record);
  }
}

int stop_verb(const Invocation& invocation) {
  const auto parsed = invocation.parse("[NAME]", kStopTable);
  if (!parsed) return EXIT_SUCCESS;
  const bool is_named = !parsed->positionals().empty();
  if (parsed->positionals().size() > 1) {
    invocation.throw_usage(
        base::cat("accepts between 0 and 1 arg(s), received ", parsed->positionals().size()));
  }
  if (!is_named && !parsed->flag("all"))
    invocation.throw_usage("give the name of an instance, or --all");
  const std::chrono::seconds timeout = timeout_of(invocation, *parsed);
  invocation.understood(*parsed);
  parsed->throw_if_refused();
  const std::string signal = parsed->text("signal").value_or("");
  int number = signal.empty() ? SIGINT : parse_signal(signal);
  if (parsed->flag("force")) number = SIGKILL;

  const runtime::InstanceFolder folder = own_folder();
  const std::string pattern = is_named ? parsed->positionals().front() : "*";
  const std::vector<InstanceRecord> found = folder.find(pattern);
  if (found.empty()) invocation.throw_usage("no instance found");
  for (const InstanceRecord& record : found) {
    base::log_info("Stopping ", description(record));
    signal_process(record.init, number);
  }
  std::vector<InstanceRecord> left = found;
  wait_for_end(left, timeout);
  for (const InstanceRecord& record : left) {
    base::log_info("Killing ", description(record), " (Timeout)");
    signal_process(record.init, SIGKILL);
  }
  constexpr std::chrono::seconds kKillTime(10);
  wait_for_end(left, kKillTime);
  wait_for_removal(folder, found, kKillTime);
  return EXIT_SUCCESS;
}

// Columns four blanks apart, as Apptainer prints tables.
void print_table(const std::vector<std::vector<std::string>>& rows) {
  constexpr std::size_t kGap = 4;
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i + 1 < row.size(); ++i) line += base::padded(row[i], widths[i] + kGap);
    base::print(line, row.back(), "\n");
  }
}

void print_json(const std::vector<InstanceRecord>& found) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const InstanceRecord& record : found) {
    list.push_back({{"instance", record.name},
                    {"pid", record.init.pid},
                    {"img", record.image},
                    {"ip", ""},
                    {"logErrPath", record.log_err},
                    {"logOutPath", record.log_out}});
  }
  base::print(oci::indented_json({{"instances", list}}), "\n");
}

int list_instances(const Invocation& invocation) {
  const auto parsed = invocation.parse("[NAME]", kInstanceListTable);
  if (!parsed) return EXIT_SUCCESS;
  if (parsed->positionals().size() > 1) invocation.throw_usage("accepts at most 1 arg(s)");
  invocation.understood(*parsed);
  parsed->throw_if_refused();
  if (parsed->flag("json") && parsed->flag("logs"))
    throw base::error("more than one flags have been set");
  const std::string pattern = parsed->positionals().empty() ? "*" : parsed->positionals().front();
  const std::vector<InstanceRecord> found = own_folder().find(pattern);
  if (parsed->flag("json")) {
    print_json(found);
    return EXIT_SUCCESS;
  }
  std::vector<std::vector<std::string>> rows = {{"INSTANCE NAME", "PID", "IP", "IMAGE"}};
  if (parsed->flag("logs")) rows = {{"INSTANCE NAME", "PID", "LOGS"}};
  for (const InstanceRecord& record : found) {
    if (parsed->flag("logs")) {
      rows.push_back({record.name, base::cat(record.init.pid), record.log_err});
      rows.push_back({"", "", record.log_out});
    } else {
      rows.push_back({record.name, base::cat(record.init.pid), "", record.image});
    }
  }
  print_table(rows);
  return EXIT_SUCCESS;
}

int stats_verb(const Invocation& invocation) {
  const auto parsed = invocation.parse("NAME", kStatsTable);
  if (!parsed) return EXIT_SUCCESS;
  invocation.only_argument(*parsed);
  throw base::error("stats are only available if cgroups are enabled, which instances do not use")
      .with_hint("the process number that `instance list` shows can be looked at with ps and top");
}

constexpr auto kInstanceVerbs = std::to_array<VerbRow>({
    {"start", start_verb, "start an instance and its startscript"},
    {"run", run_verb, "start an instance and its runscript"},
    {"list", list_instances, "show the instances that run"},
    {"stop", stop_verb, "stop instances"},
    {"stats", stats_verb},
});

}  // namespace

int run_instance_verb(const Invocation& invocation) {
  return run_second_word(invocation, kInstanceVerbs);
}

}  // namespace cmd
