// SPDX-License-Identifier: Apache-2.0
// slurm-task: what oci.conf of Slurm starts for `srun --container` (slurm_container_exec). It is
// started with slurmd's environment in slurmd's folder; the task's own come in a file, or with
// Slurm's copy of an OCI bundle. Takes them on and goes on as exec.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/syscalls.h"
#include "base/text.h"
#include "cmd/verbs.h"
#include "oci/bundle.h"
#include "oci/json.h"

namespace cmd {
namespace {

constexpr std::size_t kMaxEnvironmentSize = 8 << 20;

constexpr auto kTable = std::to_array<OptionRow>({
    {.name = "bundle",
     .kind = OptionKind::text,
     .value = "DIR",
     .help = "take image, command, variables and directory from DIR/config.json (%b)"},
    {.name = "env0",
     .kind = OptionKind::text,
     .value = "FILE",
     .help = "the task's variables, each ending in a zero byte (%e, with CreateEnvFile=null)"},
    {.name = "cwd",
     .kind = OptionKind::text,
     .value = "DIR",
     .help = "the task's working directory (%Z)"},
    {.name = "spool",
     .kind = OptionKind::text,
     .value = "DIR",
     .help = "Slurm's folder of the task, to be seen inside (%m)"},
    {.name = "help", .letter = 'h', .help = "this text"},
});

struct Task {
  std::string image;
  std::vector<std::string> command, environment;
  std::string directory;
  std::vector<oci::BundleBind> binds;
};

Task task_of_bundle(const std::string& folder) {
  const std::string path = folder + "/config.json";
  oci::Bundle bundle = oci::parse_bundle(base::read_small_file(path, oci::kMaxJsonSize), path);
  if (!bundle.root.starts_with('/')) bundle.root = base::cat(folder, "/", bundle.root);
  return {std::move(bundle.root), std::move(bundle.arguments), std::move(bundle.environment),
          std::move(bundle.directory), std::move(bundle.binds)};
}

Task task_of_line(const ParsedOptions& parsed, std::vector<std::string> words) {
  Task task;
  task.image = words[0];
  const auto command = words.begin() + (words[1] == "--" ? 2 : 1);
  task.command.assign(command, words.end());
  if (const auto& file = parsed.text("env0"))
    task.environment = base::split(base::read_small_file(*file, kMaxEnvironmentSize), '\0');
  task.directory = parsed.text("cwd").value_or("");
  if (const auto& spool = parsed.text("spool")) task.binds.push_back({*spool, *spool, false});
  // The script of sbatch lies in a folder of the job's.
  const std::string& program = task.command.front();
  if (program.starts_with('/') && program.ends_with("/slurm_script"))
    task.binds.push_back({program, program, true});
  return task;
}

void take_on(const Task& task) {
  if (!task.environment.empty()) ::clearenv();
  for (const std::string& entry : task.environment) {
    const std::size_t equals = entry.find('=');
    if (equals == 0 || equals == std::string::npos) continue;
    ::setenv(entry.substr(0, equals).c_str(), entry.c_str() + equals + 1, 1);
  }
  if (task.directory.empty()) return;
  if (::chdir(task.directory.c_str()) != 0) {
    throw base::errno_error(errno, "cannot enter the task's directory ",
                            base::printable(task.directory));
  }
  ::setenv("PWD", task.directory.c_str(), 1);
}

// As --bind reads it: separators within a path are escaped.
std::string bind_text(const oci::BundleBind& bind) {
  std::string text;
  for (const std::string* path : {&bind.source, &bind.destination}) {
    if (!text.empty()) text += ':';
    for (const char c : *path) {
      if (c == ':' || c == ',' || c == '\\') text += '\\';
      text += c;
    }
  }
  return text + (bind.read_only ? ":ro" : "");
}

}  // namespace

int run_slurm_verb(const Invocation& invocation) {
  const auto parsed = invocation.parse("IMAGE -- COMMAND [ARG...]", kTable);
  if (!parsed) return EXIT_SUCCESS;
  const std::vector<std::string>& words = parsed->positionals();
  const auto& bundle = parsed->text("bundle");
  const std::size_t least = words.size() > 1 && words[1] == "--" ? 3 : 2;
  if (bundle ? !words.empty() : words.size() < least)
    invocation.throw_usage("expected either --bundle or an image and a command");
  invocation.understood(*parsed);
  const Task task = bundle ? task_of_bundle(*bundle) : task_of_line(*parsed, words);
  take_on(task);
  std::vector<std::string> line;
  for (const oci::BundleBind& bind : task.binds) line.push_back("--bind=" + bind_text(bind));
  line.insert(line.end(), {"--", task.image});
  line.insert(line.end(), task.command.begin(), task.command.end());
  std::vector<const char*> arguments;
  for (const std::string& word : line) arguments.push_back(word.c_str());
  return run_action_verb(invocation.as("exec", arguments));
}

}  // namespace cmd
