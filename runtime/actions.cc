// SPDX-License-Identifier: Apache-2.0
#include "runtime/actions.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include "base/log.h"
#include "base/syscalls.h"
#include "runtime/env_scripts.h"
#include "runtime/loader_check.h"
#include "runtime/mount_api.h"
#include "runtime/root_tree.h"
#include "shell/interpreter.h"
#include "shell/program.h"

namespace runtime {

namespace {

constexpr const char* kRunscript = "/.singularity.d/runscript";
constexpr const char* kStartscript = "/.singularity.d/startscript";
constexpr const char* kTestscript = "/.singularity.d/test";
constexpr const char* kShell = "/bin/sh";
// The line by which runscripts made from ENTRYPOINT and CMD are known.
constexpr std::string_view kDockerLine = "eval \"set ${SINGULARITY_OCI_RUN}\"";

struct VerbName {
  Verb verb;
  std::string_view name;
};
constexpr std::array<VerbName, 5> kVerbs = {{{Verb::exec, "exec"},
                                             {Verb::run, "run"},
                                             {Verb::shell, "shell"},
                                             {Verb::test, "test"},
                                             {Verb::start, "start"}}};

std::string_view verb_name(Verb verb) {
  for (const VerbName& entry : kVerbs)
    if (entry.verb == verb) return entry.name;
  return {};
}

bool is_executable(const std::string& path) { return !shell::find_program(path, "").empty(); }

// What they would go on writing to our streams, others wait for.
void kill_children() {
  const int list = ::open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
  std::array<char, 4096> text{};
  const ssize_t size = ::read(list, text.data(), text.size());
  pid_t child = 0;
  for (ssize_t i = 0; i < size; ++i) {
    const char c = text[static_cast<std::size_t>(i)];
    if (c >= '0' && c <= '9') {
      child = child * 10 + (c - '0');
    } else if (child > 0) {
      ::kill(std::exchange(child, 0), SIGKILL);
    }
  }
}

extern "C" void report_timeout(int) {
  static constexpr char kMessage[] =
      "FATAL:   the environment scripts of the image take too long (see --runscript-timeout)\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  kill_children();
  ::_exit(255);
}

// SIGALRM while it lives: a signal handler may use only open, read, write, kill and _exit.
class ScriptTimeout {
 public:
  explicit ScriptTimeout(std::chrono::seconds limit) {
    struct sigaction action = {};
    action.sa_handler = report_timeout;
    ::sigaction(SIGALRM, &action, &old_);
    ::alarm(static_cast<unsigned>(limit.count()));
  }
  ~ScriptTimeout() {
    ::alarm(0);
    ::sigaction(SIGALRM, &old_, nullptr);
  }
  ScriptTimeout(const ScriptTimeout&) = delete;
  ScriptTimeout& operator=(const ScriptTimeout&) = delete;

 private:
  struct sigaction old_ = {};
};

// A shell may activate the environment by itself, so its user is told; its own start is fine.
constexpr std::array<std::string_view, 6> kShells = {"sh", "bash", "dash", "zsh", "ksh", "fish"};
constexpr int kLoaderStatus = 127;  // what the loader itself would end with

void check_host_program(const ActionRequest& request, const std::string& path) {
  for (const HostNeed& need : request.host_needs)
    if (!base::find_status(need.path)) base::log_warning(need.warning);
  const RootTree root;
  for (const std::string& prefix : request.host_environments) {
    if (!is_within(path, prefix)) continue;
    if (const auto problem = find_loader_problem(root, path, prefix)) {
      base::log_fatal(base::error(*problem).with_hint(
          "use an image with a newer C library, --conda=off for the image's own programs, or an "
          "environment that was made for this image"));
      ::_exit(kLoaderStatus);
    }
    return;
  }
  if (request.host_environments.empty() || request.environment.path_front.empty() ||
      std::ranges::find(kShells, base_name(path)) == kShells.end())
    return;
  const std::string& active = request.host_environments.front();
  if (const auto problem = find_loader_problem(root, active + "/bin/python", active))
    base::log_warning(*problem, ": programs of ", active, " will not start");
}

base::Error refusal(const std::string& name) {
  base::Error error(base::cat("\"", name, "\": permission denied"), EACCES);
  if (!is_noexec(name.find('/') == std::string::npos ? "/" : name)) return error;
  return std::move(error).with_hint(
      "it lies on a file system that is mounted noexec: put it, or the image, on another one");
}

[[noreturn]] void start_program(const ActionRequest& request, std::vector<std::string> arguments,
                                const std::vector<std::string>& environment) {
  const std::string name = arguments.at(0);
  const std::string path =
      shell::find_program(name, variable_or_empty(environment, "PATH"), request.is_absent);
  if (path.empty()) {
    const int error = errno;
    if (error == EACCES) throw refusal(name);
    if (name.find('/') != std::string::npos)
      throw base::Error(base::cat("stat ", name, ": no such file or directory"), ENOENT);
    throw base::Error(base::cat("\"", name, "\": executable file not found in $PATH"), ENOENT);
  }
  arguments[0] = path;
  check_host_program(request, path);
  if (request.times.wanted()) {
    base::PhaseTimes times = request.times;
    times.end_phase("the program found");
    std::fputs(times.report().c_str(), stderr);
  }
  shell::become_program(path, arguments, environment);
  const int error = errno;
  if (error == ENOEXEC)
    throw base::Error(base::cat("exec ", path, " failed: exec format error"), error)
        .with_hint("the program may be built for another architecture");
  if (error == ENOENT)
    throw base::Error(base::cat("exec ", path,
                                " failed: its interpreter or loader is missing in "
                                "the image"),
                      error);
  throw base::errno_error(error, "exec ", path, " failed");
}

// `program` and the arguments of the command line.
[[noreturn]] void start_with(const ActionRequest& request, std::vector<std::string> program,
                             const std::vector<std::string>& environment) {
  program.insert(program.end(), request.arguments.begin(), request.arguments.end());
  start_program(request, std::move(program), environment);
}

// A runscript made from ENTRYPOINT and CMD is interpreted here, which saves the start of a shell:
// its exec becomes the payload. Every other script is started as the program that it is.
[[noreturn]] void start_script(const ActionRequest& request, const std::string& path,
                               const std::vector<std::string>& environment) {
  const std::string text = base::read_small_file(path, shell::kMaxScriptBytes);
  if (text.find(kDockerLine) != std::string::npos) {
    shell::Options options;
    options.on_exec = [&request](const std::vector<std::string>& program,
                                 const std::vector<std::string>& variables) {
      start_program(request, program, variables);
    };
    try {
      shell::become_script(std::move(options), text, path, request.arguments, environment);
    } catch (const shell::SyntaxError& error) {
      base::log_debug(error.what());
    }
  }
  start_with(request, {path}, environment);
}

[[noreturn]] void report_and_exit(base::LogLevel level, std::string_view text, int status) {
  if (base::log_level() >= level) base::log_message(level, text);
  ::_exit(status);
}

[[noreturn]] void start_shell(const ActionRequest& request, std::vector<std::string> environment) {
  if (!request.shell.empty() && is_executable(request.shell))
    start_with(request, {request.shell}, environment);
  if (is_executable("/bin/bash")) {
    set_variable(environment, "SHELL", "/bin/bash");
    start_with(request, {"/bin/bash", "--norc"}, environment);
  }
  if (is_executable(kShell)) {
    set_variable(environment, "SHELL", kShell);
    start_with(request, {kShell}, environment);
  }
  report_and_exit(base::LogLevel::error, "/bin/sh does not exist in container", 1);
}

[[noreturn]] void start_run(const ActionRequest& request,
                            const std::vector<std::string>& environment) {
  const std::string& app = request.environment.app_name;
  if (!app.empty()) {
    const std::string script = base::cat("/scif/apps/", app, "/scif/runscript");
    if (is_executable(script)) start_script(request, script, environment);
    report_and_exit(base::LogLevel::error, "no runscript for contained app: " + app, 1);
  }
  for (const char* script : {kRunscript, "/apptainer", "/singularity"})
    if (is_executable(script)) start_script(request, script, environment);
  if (is_executable(kShell)) {
    base::log_info("No runscript found in container, executing /bin/sh");
    start_with(request, {kShell}, environment);
  }
  report_and_exit(base::LogLevel::error,
                  "No runscript and no /bin/sh executable found in container, aborting", 1);
}

// Empty if there is none.
std::string find_start_script(const ActionRequest& request) {
  const std::string& app = request.environment.app_name;
  const std::string script =
      app.empty() ? kStartscript : base::cat("/scif/apps/", app, "/scif/startscript");
  return is_executable(script) ? script : "";
}

[[noreturn]] void start_test(const ActionRequest& request,
                             const std::vector<std::string>& environment) {
  const std::string& app = request.environment.app_name;
  const std::string script =
      app.empty() ? kTestscript : base::cat("/scif/apps/", app, "/scif/test");
  if (is_executable(script)) start_script(request, script, environment);
  if (!app.empty()) report_and_exit(base::LogLevel::error, "No tests for contained app: " + app, 1);
  report_and_exit(base::LogLevel::info, "No test script found in container, exiting", 0);
}

}  // namespace

void require_start_script(const ActionRequest& request) {
  const std::string& app = request.environment.app_name;
  if (request.verb == Verb::start && !app.empty() && find_start_script(request).empty())
    throw base::error("No startscript for contained app: ", base::printable(app));
}

void run_action(ActionRequest request) {
  // As Apptainer: launchers written in Python ignore it, and what they exec would write to closed
  // pipes for ever.
  ::signal(SIGPIPE, SIG_DFL);
  std::vector<std::string> environment;
  {
    const ScriptTimeout timeout(request.script_timeout);
    environment =
        evaluate_environment(request.environment, verb_name(request.verb), request.arguments);
  }
  request.times.end_phase("environment scripts");
  switch (request.verb) {
    case Verb::exec:
      if (request.arguments.empty()) throw base::error("no command given");
      start_program(request, request.arguments, environment);
    case Verb::shell:
      start_shell(request, std::move(environment));
    case Verb::run:
      start_run(request, environment);
    case Verb::test:
      start_test(request, environment);
    case Verb::start:
      if (const std::string script = find_start_script(request); !script.empty())
        start_script(request, script, environment);
      report_and_exit(base::LogLevel::info, "No instance start script found in container", 0);
  }
  throw base::error("unknown action");
}

}  // namespace runtime
